#include "admin/log_level.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "http/problem.h"
#include "ops/logging.h"

namespace ca4::admin {
namespace {

// Empty: neither of the two forms.
std::string word_of(std::string_view body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object()) {
    const auto level = json.find("level");
    return level != json.end() && level->is_string() ? level->get<std::string>() : "";
  }
  const size_t begin = std::min(body.find_first_not_of(" \t\r\n"), body.size());
  const size_t end = body.find_last_not_of(" \t\r\n");
  return end == std::string_view::npos ? "" : std::string(body.substr(begin, end + 1 - begin));
}

}  // namespace

void get_log_level(const http::Request&, const http::Respond& respond) {
  respond(http::Response{.body = fmt::format(R"({{"level":"{}"}})", ops::log_level())});
}

void put_log_level(const http::Request& request, const http::Respond& respond) {
  const std::string who = request.caller.empty()
                              ? request.peer
                              : fmt::format("token '{}' from {}", request.caller, request.peer);
  const Status set = ops::set_log_level(word_of(request.body()), who);
  if (!set.is_ok()) {
    // Without the word, which is a body of up to 64 KiB.
    spdlog::warn("audit: PUT /log-level of {} is refused 400: no log level", who);
    return respond(http::problem(400, set.message(), "level"));
  }
  get_log_level(request, respond);
}

}  // namespace ca4::admin
