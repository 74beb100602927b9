#include "http/fetch.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <array>
#include <mutex>

#include "base/curl_pool.h"
#include "base/this_machine.h"

namespace ca4::http {
namespace {

struct Collector {
  std::string body;
  size_t bytes_max = 0;
};

// Returning less than was given makes curl end the transfer with an error.
size_t collect(char* data, size_t, size_t count, void* user) {
  auto* into = static_cast<Collector*>(user);
  if (into->body.size() + count > into->bytes_max) return 0;
  into->body.append(data, count);
  return count;
}

size_t read_date(char* data, size_t, size_t count, void* user) {
  const std::string_view line(data, count);
  constexpr std::string_view kName = "date:";
  if (line.size() > kName.size() && curl_strnequal(data, kName.data(), kName.size()) != 0) {
    const std::string text(line.substr(kName.size()));
    const time_t date = curl_getdate(text.c_str(), nullptr);
    if (date >= 0) *static_cast<std::optional<int64_t>*>(user) = date;
  }
  return count;
}

NoAnswer reason(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return NoAnswer::kUnresolved;
    case CURLE_COULDNT_CONNECT:
      return NoAnswer::kRefused;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_PARTIAL_FILE:
      return NoAnswer::kCutOff;
    case CURLE_OPERATION_TIMEDOUT:
      return NoAnswer::kSilent;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return NoAnswer::kTls;
    default:
      return NoAnswer::kOther;
  }
}

CurlList header_list(const Fetch& request) {
  CurlList list;
  for (const auto& [name, value] : request.headers) {
    list.reset(curl_slist_append(list.release(), fmt::format("{}: {}", name, value).c_str()));
  }
  // No round trip to ask whether the body may come.
  list.reset(curl_slist_append(list.release(), "Expect:"));
  return list;
}

void set_request(CURL* easy, const Fetch& request) {
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  if (!request.may_use_proxy || is_this_machine(request.url)) {
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
  }
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeout_ms));
  if (!request.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, request.ca_file.c_str());
  }
  if (!request.check_certificate) {
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (request.method == "GET") return;
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

}  // namespace

FetchOutcome fetch(const Fetch& request) {
  static std::once_flag once;
  // Counted by curl; not undone, since other parts of the program may use curl as well.
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  const CurlEasy easy(curl_easy_init());
  FetchOutcome outcome;
  outcome.message = "libcurl has no memory to start";
  if (easy == nullptr) return outcome;
  std::array<char, CURL_ERROR_SIZE> error{};
  Collector body{{}, request.answer_bytes_max};
  Fetched answer;
  const CurlList headers = header_list(request);
  set_request(easy.get(), request);
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, error.data());
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, read_date);
  curl_easy_setopt(easy.get(), CURLOPT_HEADERDATA, &answer.date_unix_s);
  const CURLcode code = curl_easy_perform(easy.get());
  if (code != CURLE_OK) {
    outcome.why = reason(code);
    outcome.message = error[0] != '\0' ? error.data() : curl_easy_strerror(code);
    return outcome;
  }
  long status = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
  answer.status = static_cast<int>(status);
  answer.body = std::move(body.body);
  outcome.message.clear();
  outcome.answer = std::move(answer);
  return outcome;
}

}  // namespace ca4::http
