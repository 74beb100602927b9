#include "producer/retry.h"

#include <algorithm>

namespace ca4::producer {

std::optional<int64_t> RetryPolicy::next_pause_ms(int64_t now_ms,
                                                  std::optional<int64_t> retry_after_ms) {
  if (!first_failure_ms_) first_failure_ms_ = now_ms;
  ceiling_ms_ = ceiling_ms_ == 0 ? limits_.base_ms : std::min(ceiling_ms_ * 2, limits_.cap_ms);
  const auto draw = [&](int64_t most) {
    return std::uniform_int_distribution<int64_t>(0, most)(random_);
  };
  const int64_t pause_ms =
      retry_after_ms ? *retry_after_ms + draw(limits_.base_ms) : draw(ceiling_ms_);
  if (limits_.budget_ms == 0 || now_ms + pause_ms - *first_failure_ms_ > limits_.budget_ms) {
    return std::nullopt;
  }
  return pause_ms;
}

}  // namespace ca4::producer
