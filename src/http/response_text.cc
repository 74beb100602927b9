#include "http/response_text.h"

#include <fmt/format.h>

#include <ctime>
#include <string_view>

#include "http/problem.h"

namespace ca4::http {
namespace {

// A year, as browsers' own lists ask for. Without includeSubDomains: other names are not ours.
constexpr std::string_view kStrictTransport = "Strict-Transport-Security: max-age=31536000\r\n";

// IMF-fixdate of RFC 9110; made anew once a second a thread.
const std::string& date_text(int64_t unix_s) {
  thread_local int64_t made_for = -1;
  thread_local std::string text;
  if (made_for != unix_s) {
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t time = unix_s;
    std::tm t{};
    gmtime_r(&time, &t);
    text = fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[t.tm_wday], t.tm_mday,
                       kMonths[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    made_for = unix_s;
  }
  return text;
}

}  // namespace

void append_response(const Response& response, bool head_only, bool keep_alive,
                     const ResponseContext& context, std::string& out) {
  out.append("HTTP/1.1 ").append(fmt::format_int(response.status).c_str()).append(" ");
  out.append(reason_phrase(response.status)).append("\r\nDate: ").append(date_text(context.unix_s));
  out.append("\r\n");
  const bool may_have_body =
      response.status >= 200 && response.status != 204 && response.status != 304;
  if (may_have_body) {
    if (!response.content_type.empty()) {
      out.append("Content-Type: ").append(response.content_type).append("\r\n");
    }
    out.append("Content-Length: ").append(fmt::format_int(response.body.size()).c_str());
    out.append("\r\n");
  }
  bool says_who_may_keep_it = false;
  for (const auto& [name, value] : response.headers) {
    out.append(name).append(": ").append(value).append("\r\n");
    says_who_may_keep_it |= name == "Cache-Control";
  }
  if (!says_who_may_keep_it) out.append("Cache-Control: no-store\r\n");
  out.append("X-Content-Type-Options: nosniff\r\n");
  if (context.tls) out.append(kStrictTransport);
  if (!keep_alive) out.append("Connection: close\r\n");
  out.append("\r\n");
  if (may_have_body && !head_only) out.append(response.body);
}

}  // namespace ca4::http
