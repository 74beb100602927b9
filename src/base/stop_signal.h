// A request to stop that ends every wait at once, and growing pauses between retries.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <random>

namespace ca4 {

// Thread-safe. Once requested it stays so.
class StopSignal {
 public:
  void request();
  bool requested() const;
  // Waits `ms`, or less when a stop is requested. False when it is.
  bool wait_ms(int64_t ms);

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool requested_ = false;
};

struct BackoffLimits {
  int64_t min_ms = 100;     // a hiccup of the disk or a restarted peer is over by then
  int64_t max_ms = 30'000;  // what is back is used within half a minute
};

// Pauses that double from min_ms to max_ms, each drawn from the upper half of its range, so that
// many workers that lost one store do not come back to it in step. Not thread-safe.
class Backoff {
 public:
  Backoff(BackoffLimits limits, uint32_t seed) : limits_(limits), random_(seed) {}
  int64_t next_ms();
  // What was waited for worked: the next pause is a short one again.
  void reset() { ceiling_ms_ = 0; }

 private:
  BackoffLimits limits_;
  int64_t ceiling_ms_ = 0;
  std::minstd_rand random_;
};

}  // namespace ca4
