#include "producer/reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace ca4::producer {
namespace {

using Json = nlohmann::ordered_json;

// Far above a UUID: what is longer is no processor's.
constexpr size_t kProcessorIdBytesMax = 64;
// Long enough for any reason, short enough for a terminal when a proxy answers with a web page.
constexpr size_t kDetailBytesMax = 300;

bool may_succeed_later(int64_t status) {
  return status == 408 || status == 429 || status >= 500;
}

std::string text_of(const Json& object, const char* key) {
  const auto at = object.find(key);
  return at != object.end() && at->is_string() ? at->get<std::string>() : "";
}

// Of problem+json (RFC 9457) and its `errors`: "title: detail".
std::string detail_of(const Json& problem) {
  std::string out;
  for (const char* key : {"title", "field", "detail", "reason", "message"}) {
    const std::string text = text_of(problem, key);
    if (text.empty() || out.find(text) != std::string::npos) continue;
    out += (out.empty() ? "" : ": ") + text;
  }
  return out.empty() ? problem.dump() : out;
}

// Of what is no JSON, a line for people: a web page's title, as proxies send it for a server that
// is away, else the text itself.
std::string one_line(std::string_view body) {
  constexpr std::string_view kBegin = "<title>";
  const size_t begin = body.find(kBegin);
  const size_t end = body.find("</title>");
  if (begin < end && end != std::string_view::npos) {
    body = body.substr(begin + kBegin.size(), end - begin - kBegin.size());
  }
  std::string out(body.substr(0, kDetailBytesMax));
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return out;
}

// What is most likely wrong with how the producer was started.
std::string_view hint(int status) {
  if (status == 401) return " (--token-file FILE, in Python token=)";
  if (status == 404 || status == 405) {
    return " (is the endpoint the processor's address alone, without /metadata?)";
  }
  if (status >= 300 && status < 400) return " (a redirect: does the endpoint begin with https://?)";
  return "";
}

std::string explain(const Reply& reply) {
  const Json problem = Json::parse(reply.body, nullptr, /*allow_exceptions=*/false);
  const std::string detail = problem.is_object() ? detail_of(problem) : one_line(reply.body);
  return fmt::format("HTTP {} {}{}", reply.status, detail.substr(0, kDetailBytesMax),
                     hint(reply.status));
}

// Its code, "ERR_NGROK_3200", when the answer is ngrok's own and not the processor's: while an
// agent restarts ngrok says 404, which from a processor would be for good. By the header, or by the
// page: older edges send only that.
std::string ngrok_error(const Reply& reply) {
  if (!reply.ngrok_error.empty()) return reply.ngrok_error;
  constexpr std::string_view kMark = "ERR_NGROK_";
  const size_t at = reply.body.find(kMark);
  const bool is_page = reply.body.find("<html") != std::string::npos;
  if (at == std::string::npos || !is_page) return "";
  const size_t digits = at + kMark.size();
  return reply.body.substr(at, reply.body.find_first_not_of("0123456789", digits) - at);
}

}  // namespace

Status judge_event(std::string_view answer) {
  const Json result = Json::parse(answer, nullptr, /*allow_exceptions=*/false);
  const auto foreign = [&] {
    return Status(Code::kUnavailable, "that is no processor's answer: " + one_line(answer));
  };
  if (!result.is_object() || (!result.contains("status") && !result.contains("error"))) {
    return foreign();
  }
  const auto status = result.find("status");
  if (status != result.end() && *status == "ok") {
    // Many services say that they are well, and no more.
    const auto id = result.find("metadata_id");
    return id != result.end() && id->is_string() ? Status::ok() : foreign();
  }
  const Json& problem =
      result.contains("error") && result["error"].is_object() ? result["error"] : result;
  const auto number = problem.find("status");
  const int64_t code =
      number != problem.end() && number->is_number_integer() ? number->get<int64_t>() : 422;
  return {may_succeed_later(code) ? Code::kUnavailable : Code::kInvalidArgument,
          detail_of(problem).substr(0, kDetailBytesMax)};
}

Status judge_reply(const Reply& reply) {
  if (const std::string error = ngrok_error(reply); !error.empty()) {
    return {Code::kUnavailable,
            fmt::format("ngrok answers for the processor: {} (HTTP {})", error, reply.status)};
  }
  if (reply.status >= 200 && reply.status < 300) return Status::ok();
  if (may_succeed_later(reply.status)) return {Code::kUnavailable, explain(reply)};
  if (reply.status == 413) return {Code::kTooLarge, explain(reply)};
  return {Code::kInvalidArgument, explain(reply)};
}

std::string processor_id(const Reply& health) {
  if (health.status != 200) return "";
  const Json body = Json::parse(health.body, nullptr, /*allow_exceptions=*/false);
  std::string id = body.is_object() ? text_of(body, "processor_id") : "";
  return id.size() > kProcessorIdBytesMax ? "" : id;
}

std::vector<Status> judge_lines(const std::string& body, size_t count) {
  std::vector<Status> out;
  std::string_view rest = body;
  while (out.size() < count && !rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    if (end > 0) out.push_back(judge_event(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  out.resize(count, Status(Code::kUnavailable, "the answer ends before this event's line"));
  return out;
}

}  // namespace ca4::producer
