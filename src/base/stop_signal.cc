#include "base/stop_signal.h"

#include <algorithm>
#include <chrono>

namespace ca4 {

void StopSignal::request() {
  {
    std::lock_guard lock(mutex_);
    requested_ = true;
  }
  changed_.notify_all();
}

bool StopSignal::requested() const {
  std::lock_guard lock(mutex_);
  return requested_;
}

bool StopSignal::wait_ms(int64_t ms) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return requested_; });
}

int64_t Backoff::next_ms() {
  const int64_t floor_ms = std::max<int64_t>(limits_.min_ms, 1);
  const int64_t cap_ms = std::max(limits_.max_ms, floor_ms);
  ceiling_ms_ = ceiling_ms_ == 0 ? floor_ms : std::min(ceiling_ms_ * 2, cap_ms);
  return std::uniform_int_distribution<int64_t>((ceiling_ms_ + 1) / 2, ceiling_ms_)(random_);
}

}  // namespace ca4
