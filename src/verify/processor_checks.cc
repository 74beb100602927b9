#include "verify/processor_checks.h"

#include <fmt/format.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace ca4::verify {
namespace {

// Two clocks that both follow NTP are milliseconds apart; a token's life or an hour's folder in the
// archive does not care below this.
constexpr int64_t kSkewSMax = 30;
// Older than this program: nobody set the clock.
constexpr int64_t kEarliestUs = 1'767'225'600'000'000;  // 2026-01-01

http::FetchOutcome get(const Processor& processor, const std::string& path, int64_t timeout_ms) {
  return http::fetch({.url = processor.url + path,
                      .timeout_ms = timeout_ms,
                      .ca_file = processor.ca_file,
                      .may_use_proxy = true});
}

std::string member(const std::string& body, const char* name) {
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object() || !json.contains(name) || !json[name].is_string()) return {};
  return json[name].get<std::string>();
}

}  // namespace

http::FetchOutcome post_metadata(const Processor& processor, const std::string& body,
                                 int64_t timeout_ms) {
  http::Fetch request{.method = "POST", .url = processor.url + "/metadata", .body = body};
  request.timeout_ms = timeout_ms;
  request.ca_file = processor.ca_file;
  request.may_use_proxy = true;
  request.headers.emplace_back("Content-Type", "application/json");
  if (!processor.token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + processor.token);
  }
  return http::fetch(request);
}

Finding no_answer(const Processor& processor, const http::FetchOutcome& outcome) {
  const std::string why = fmt::format("{}: {}", processor.url, outcome.message);
  switch (outcome.why) {
    case http::NoAnswer::kUnresolved:
      return Finding::fail(why, "is producer.endpoint (--endpoint) right?");
    case http::NoAnswer::kRefused:
      return Finding::fail(why,
                           "start the processor (`ca4 up` or `ca4 serve`), or name the one that "
                           "runs: --endpoint URL");
    case http::NoAnswer::kSilent:
      return Finding::fail(why, "it accepts connections but is stuck: look at its log, restart it");
    case http::NoAnswer::kTls:
      return Finding::fail(why,
                           "does it speak TLS (https://), with a certificate that this machine "
                           "trusts? Of an authority of your own: --ca-file FILE "
                           "(producer.ca_file)");
    case http::NoAnswer::kCutOff:
    case http::NoAnswer::kOther:
      break;
  }
  return Finding::fail(why, "is that a processor of ca4? See --endpoint");
}

Finding wrong_answer(const Processor& processor, const http::Fetched& answer) {
  std::string detail = member(answer.body, "detail");
  const std::string why = fmt::format("{} answers {}{}{}", processor.url, answer.status,
                                      detail.empty() ? "" : ": ", detail);
  switch (answer.status) {
    case 401:
      return Finding::fail(why, processor.token.empty()
                                    ? "give it a token: --token-file FILE (producer.token_file)"
                                    : "the token is not one of the processor's: see its "
                                      "processor.token_file");
    case 403:
      return Finding::fail(why, processor.token.empty()
                                    ? "address it as 127.0.0.1 or localhost, or give it tokens"
                                    : "make one that may: ca4 token new --scope write");
    case 404:
    case 405:
      return Finding::fail(why, "that is no processor of ca4: see --endpoint");
    case 503:
      return Finding::fail(why, "it takes nothing now: look at its log and /readyz");
    default:
      return Finding::fail(why, "look at the processor's log");
  }
}

Finding processor_health(const Processor& processor, const std::string& version,
                         int64_t timeout_ms) {
  const http::FetchOutcome outcome = get(processor, "/health", timeout_ms);
  if (!outcome.answer) return no_answer(processor, outcome);
  if (outcome.answer->status != 200) return wrong_answer(processor, *outcome.answer);
  if (member(outcome.answer->body, "status") != "healthy") {
    return Finding::fail(processor.url + "/health does not say \"healthy\"",
                         "is that a processor of ca4? See --endpoint");
  }
  const std::string theirs = member(outcome.answer->body, "version");
  return Finding::pass(fmt::format("{}, version {}; this is {}", processor.url,
                                   theirs.empty() ? "not said" : theirs, version));
}

Finding processor_ready(const Processor& processor, int64_t timeout_ms) {
  const http::FetchOutcome outcome = get(processor, "/readyz", timeout_ms);
  if (!outcome.answer) return no_answer(processor, outcome);
  if (outcome.answer->status == 200) return Finding::pass("it takes events");
  // Older processors have none.
  if (outcome.answer->status == 404) return Finding::skip("it has no /readyz");
  return wrong_answer(processor, *outcome.answer);
}

Finding processor_token(const Processor& processor, int64_t timeout_ms) {
  // No embedding: refused after the token was accepted.
  const http::FetchOutcome outcome = post_metadata(processor, "{}", timeout_ms);
  if (!outcome.answer) return no_answer(processor, outcome);
  if (outcome.answer->status != 422 && outcome.answer->status != 400) {
    return wrong_answer(processor, *outcome.answer);
  }
  return Finding::pass(processor.token.empty() ? "it takes events without a token"
                                               : "the token may write");
}

Finding clock_sane(const Processor& processor, int64_t timeout_ms) {
  const int64_t now_us = SystemClock().now_us();
  if (now_us < kEarliestUs) {
    return Finding::fail("this machine's clock says " + format_rfc3339(now_us),
                         "set it (timedatectl set-ntp true)");
  }
  const http::FetchOutcome outcome = get(processor, "/health", timeout_ms);
  if (!outcome.answer || !outcome.answer->date_unix_s) {
    return Finding::pass(format_rfc3339(now_us) + "; no processor to compare with");
  }
  const int64_t ahead_s = SystemClock().now_us() / 1'000'000 - *outcome.answer->date_unix_s;
  if (std::abs(ahead_s) > kSkewSMax) {
    return Finding::fail(fmt::format("this machine's clock is {} s {} of the processor's",
                                     std::abs(ahead_s), ahead_s > 0 ? "ahead" : "short"),
                         "set both by NTP (timedatectl set-ntp true)");
  }
  return Finding::pass(format_rfc3339(now_us) + ", as the processor's");
}

}  // namespace ca4::verify
