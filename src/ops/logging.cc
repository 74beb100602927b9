#include "ops/logging.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/terminal.h"
#include "ops/log_context.h"

namespace ca4::ops {
namespace {

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    using namespace std::chrono;
    const int64_t us = duration_cast<microseconds>(message.time.time_since_epoch()).count();
    const auto level = spdlog::level::to_string_view(message.level);
    nlohmann::ordered_json line = {
        {"time", format_rfc3339(us)},
        {"level", std::string(level.data(), level.size())},
        {"message", std::string(message.payload.data(), message.payload.size())}};
    if (const LogContext* context = LogContext::current(); context != nullptr) {
      if (!context->request_id().empty()) line["request_id"] = context->request_id();
      if (!context->trace_id().empty()) line["trace_id"] = context->trace_id();
    }
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    out.append(text.data(), text.data() + text.size());
    out.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

// The message as one line, whatever is in it, and then the fields of its context.
class LineFlag final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    for (const char c : std::string_view(message.payload.data(), message.payload.size())) {
      append_visible(c, out);
    }
    const LogContext* context = LogContext::current();
    if (context == nullptr) return;
    append_field("request_id", context->request_id(), out);
    append_field("trace_id", context->trace_id(), out);
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
    return std::make_unique<LineFlag>();
  }

 private:
  // Some of a message comes from others: it must neither pass for a line of ours nor steer a
  // terminal.
  static void append_visible(char c, spdlog::memory_buf_t& out) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= ' ' && byte != 0x7f) || c == '\t') return out.push_back(c);
    const std::string escaped = c == '\n'   ? "\\n"
                                : c == '\r' ? "\\r"
                                            : fmt::format("\\x{:02x}", byte);
    out.append(escaped.data(), escaped.data() + escaped.size());
  }
  static void append_field(std::string_view name, std::string_view value,
                           spdlog::memory_buf_t& out) {
    if (value.empty()) return;
    const std::string text = fmt::format(" {}={}", name, value);
    out.append(text.data(), text.data() + text.size());
  }
};

std::unique_ptr<spdlog::formatter> text_formatter() {
  auto out = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  out->add_flag<LineFlag>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %*");
  return out;
}

// What settings call the levels; spdlog has names of its own for some.
constexpr std::pair<std::string_view, spdlog::level::level_enum> kLevels[] = {
    {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug}, {"info", spdlog::level::info},
    {"warn", spdlog::level::warn},   {"error", spdlog::level::err},   {"off", spdlog::level::off}};

std::optional<spdlog::level::level_enum> find_level(std::string_view word) {
  for (const auto& [name, level] : kLevels) {
    if (name == word) return level;
  }
  return std::nullopt;
}

Status no_level(const std::string& word) {
  return {
      Code::kInvalidArgument,
      fmt::format("'{}' is no log level; there are trace, debug, info, warn, error, off", word)};
}

}  // namespace

Status setup_logging(const std::string& level, const std::string& format) {
  const std::optional<spdlog::level::level_enum> known = find_level(level);
  if (!known) return no_level(level);
  if (format != "text" && format != "json") {
    return {Code::kInvalidArgument, fmt::format("{} is no log format", format)};
  }
  // The sink looks for a terminal, but knows no NO_COLOR.
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  if (!takes_colours(STDERR_FILENO)) sink->set_color_mode(spdlog::color_mode::never);
  auto logger = std::make_shared<spdlog::logger>("ca4", std::move(sink));
  logger->set_level(*known);
  if (format == "json") {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_formatter(text_formatter());
  }
  spdlog::set_default_logger(std::move(logger));
  return Status::ok();
}

std::string log_level() {
  const auto level = spdlog::get_level();
  for (const auto& [name, known] : kLevels) {
    if (known == level) return std::string(name);
  }
  return "off";
}

Status set_log_level(const std::string& level, const std::string& who) {
  const std::optional<spdlog::level::level_enum> wanted = find_level(level);
  if (!wanted) return no_level(level);
  const std::string before = log_level();
  // Whatever the two are, so that the log itself says why it grows or falls silent.
  spdlog::set_level(std::min({spdlog::get_level(), *wanted, spdlog::level::info}));
  spdlog::info("audit: log level {} instead of {}, as {} asked", level, before, who);
  spdlog::set_level(*wanted);
  return Status::ok();
}

}  // namespace ca4::ops
