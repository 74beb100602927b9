// Waiting inside a check.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <thread>

#include "base/status.h"

namespace ca4::verify {

// Asks until the answer is true or a failure, or `wait_ms` are over (then false). The pauses grow
// from a few milliseconds, so that fast hops are timed well and slow ones cost nothing.
inline Result<bool> wait_until(int64_t wait_ms, const std::function<Result<bool>()>& ask) {
  using namespace std::chrono;
  constexpr int64_t kPauseMsMax = 500;
  const auto until = steady_clock::now() + milliseconds(wait_ms);
  for (int64_t pause_ms = 2;; pause_ms = std::min(pause_ms * 3 / 2, kPauseMsMax)) {
    Result<bool> answer = ask();
    if (!answer || *answer) return answer;
    if (steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(milliseconds(pause_ms));
  }
}

}  // namespace ca4::verify
