#include "producer/holdup.h"

#include <fmt/format.h>

#include <utility>

#include "producer/progress.h"

namespace ca4::producer {
namespace {

std::string time_text(int64_t ms) {
  return duration_text(static_cast<double>(ms) / 1000);
}

}  // namespace

std::string Holdup::failed(int64_t began_ms, int64_t now_ms, int64_t pause_ms,
                           const std::string& why) {
  if (!since_ms_) since_ms_ = began_ms;
  if (now_ms + pause_ms - *since_ms_ < kQuietMs) return "";
  if (said_ms_ && now_ms - *said_ms_ < kRepeatMs) return "";
  said_ms_ = now_ms;
  return fmt::format("waiting for the processor ({} so far, {} at most): {}",
                     time_text(now_ms - *since_ms_), time_text(budget_ms_), why);
}

std::string Holdup::passed(int64_t now_ms) {
  const std::optional<int64_t> since_ms = std::exchange(since_ms_, std::nullopt);
  if (!std::exchange(said_ms_, std::nullopt)) return "";
  return fmt::format("the processor takes events again, after {}", time_text(now_ms - *since_ms));
}

}  // namespace ca4::producer
