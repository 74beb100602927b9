#include "base/log_limiter.h"

#include <fmt/format.h>

#include <utility>

namespace ca4 {

std::optional<size_t> LogLimiter::allow(const std::string& kind, Time now) {
  const std::lock_guard lock(mutex_);
  const auto [entry, first] = kinds_.try_emplace(kind, Kind{now, 0});
  if (!first && now - entry->second.said_at < period_) {
    ++entry->second.kept_back;
    return std::nullopt;
  }
  entry->second.said_at = now;
  return std::exchange(entry->second.kept_back, 0);
}

std::string and_like_it(size_t kept_back) {
  return kept_back == 0 ? "" : fmt::format(" (and {} like it)", kept_back);
}

}  // namespace ca4
