#include "ops/logging.h"

#include <fmt/format.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace ca4::ops {
namespace {

class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    using namespace std::chrono;
    const int64_t us = duration_cast<microseconds>(message.time.time_since_epoch()).count();
    const auto level = spdlog::level::to_string_view(message.level);
    const nlohmann::ordered_json line = {
        {"time", format_rfc3339(us)},
        {"level", std::string(level.data(), level.size())},
        {"message", std::string(message.payload.data(), message.payload.size())}};
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    out.append(text.data(), text.data() + text.size());
    out.push_back('\n');
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>();
  }
};

}  // namespace

Status setup_logging(const std::string& level, const std::string& format) {
  const auto known = spdlog::level::from_str(level);
  if (known == spdlog::level::off && level != "off") {
    return {Code::kInvalidArgument, fmt::format("{} is no log level", level)};
  }
  if (format != "text" && format != "json") {
    return {Code::kInvalidArgument, fmt::format("{} is no log format", format)};
  }
  auto logger = std::make_shared<spdlog::logger>(
      "ca4", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  logger->set_level(known);
  if (format == "json") {
    logger->set_formatter(std::make_unique<JsonFormatter>());
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%-5l%$ %v", spdlog::pattern_time_type::utc);
  }
  spdlog::set_default_logger(std::move(logger));
  return Status::ok();
}

}  // namespace ca4::ops
