#include "archive/s3_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "base/digest.h"

namespace ca4::archive {
namespace {

// The largest object read back: far above the batch of a part (32 MiB and its rows).
constexpr size_t kObjectBytesMax = size_t{2} << 30U;
// Who only asks whether it answers is told within the ten seconds that a check has.
constexpr int64_t kOnceSilenceMs = 5'000;
// A server that asks for a longer pause than this is away.
constexpr int64_t kRetryAfterMsMax = 5'000;

int64_t steady_ms() {
  using std::chrono::steady_clock;
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             steady_clock::now().time_since_epoch())
      .count();
}

std::string_view result_name(S3Error::Kind kind) {
  switch (kind) {
    case S3Error::Kind::kTemporary:
      return "server_error";
    case S3Error::Kind::kBusy:
      return "throttled";
    case S3Error::Kind::kNotFound:
      return "not_found";
    default:
      return "refused";
  }
}

// Whole seconds of a Retry-After header; its other form, a date, counts as none.
int64_t retry_after_ms(const aws::HttpReply& reply) {
  const std::string_view text = reply.header("retry-after");
  int64_t seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::clamp<int64_t>(seconds, 0, kRetryAfterMsMax / 1000) * 1000;
}

}  // namespace

// What one try came to.
struct S3Client::Attempt {
  Result<aws::HttpReply> outcome;
  bool again = false;
  int64_t asked_ms = 0;  // the pause that the server asked for
};

Result<aws::HttpReply> S3Client::send(const S3Request& request) {
  const int64_t began_ms = steady_ms();
  bool renewed = false;
  for (int failures = 1;; ++failures) {
    Attempt tried = attempt(request);
    if (tried.outcome || !tried.again) return std::move(tried.outcome);
    const bool wrong_keys = tried.outcome.status().code() == Code::kConfig;
    // Keys that were just read anew are as good as they get.
    if (wrong_keys && std::exchange(renewed, true)) return std::move(tried.outcome);
    if (request.once && !wrong_keys) return std::move(tried.outcome);
    if (!wait_before_next(failures, began_ms, tried.asked_ms)) return std::move(tried.outcome);
  }
}

S3Client::Attempt S3Client::attempt(const S3Request& request) {
  const Result<aws::Credentials> credentials = connection_.credentials->get();
  if (!credentials) {
    count("refused");
    return {credentials.status()};
  }
  aws::SignableRequest signable{.method = request.method,
                                .path = connection_.address.path(request.key),
                                .query = request.query,
                                .headers = request.headers,
                                .payload_sha256 = sha256_hex(request.body)};
  signable.headers["host"] = connection_.address.host();
  signable.headers["x-amz-content-sha256"] = signable.payload_sha256;
  aws::sign(signable, *credentials, {connection_.region, "s3"}, connection_.clock->now_us());
  aws::HttpRequest http{.method = request.method,
                        .url = connection_.address.url(request.key, request.query),
                        .body = request.body,
                        .reply_bytes_max = kObjectBytesMax};
  if (request.once) http.silence_timeout_ms = kOnceSilenceMs;
  for (const auto& [name, value] : signable.headers) {
    // libcurl looks for this one by the name it has itself.
    http.headers.push_back(
        fmt::format("{}: {}", name == "content-type" ? "Content-Type" : name, value));
  }
  return judge(connection_.http->send(http), request, *credentials);
}

S3Client::Attempt S3Client::judge(Result<aws::HttpReply> reply, const S3Request& request,
                                  const aws::Credentials& credentials) {
  const std::string doing =
      request.key.empty() ? request.method : fmt::format("{} {}", request.method, request.key);
  if (!reply) {
    count("unreachable");
    const Status why = reply.status();
    return {Status(why.code(),
                   fmt::format("S3 bucket '{}': {}: {}", connection_.bucket, doing, why.message())),
            why.code() == Code::kUnavailable};
  }
  // An object may look like anything, also like an error.
  const bool is_object = request.method == "GET" && !request.key.empty() && reply->status == 200;
  std::optional<S3Error> error = is_object ? std::nullopt : error_of(*reply);
  if (!error) {
    count("ok");
    return {std::move(reply)};
  }
  // A HEAD answers without words: of a bucket, 404 can only mean that there is none.
  if (request.key.empty() && error->code == "status 404") {
    error->code = "NoSuchBucket";
    error->kind = S3Error::Kind::kRefused;
  }
  count(result_name(error->kind));
  const bool wrong_keys = error->kind == S3Error::Kind::kCredentials;
  // A mere 403 may be keys that were withdrawn as well as rights that are missing.
  if (wrong_keys || reply->status == 403) connection_.credentials->refused();
  return {to_status(*error, connection_.bucket, doing, credentials.source),
          wrong_keys || error->worth_another_try(), retry_after_ms(*reply)};
}

void S3Client::count(std::string_view result) const {
  if (connection_.on_result) connection_.on_result(result);
}

// False when it is enough.
bool S3Client::wait_before_next(int failures, int64_t began_ms, int64_t asked_ms) {
  const S3Retries& limits = connection_.retries;
  if (failures >= limits.attempts_max) return false;
  const int64_t longest =
      std::min(limits.pause_ms_max, limits.pause_ms_min << std::min(failures - 1, 20));
  // Half of it at least, and the rest at random: clients that failed together come back apart.
  std::random_device random;
  const int64_t pause_ms =
      std::max(asked_ms, std::uniform_int_distribution<int64_t>(longest / 2, longest)(random));
  if (steady_ms() - began_ms + pause_ms > limits.total_ms_max) return false;
  if (connection_.pause) {
    connection_.pause(pause_ms);
  } else {
    std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
  }
  return true;
}

}  // namespace ca4::archive
