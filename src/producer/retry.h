// How long to wait before a failed request is tried again, and when to give up. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <random>

namespace ca4::producer {

struct RetryLimits {
  int64_t base_ms = 200;    // a dropped connection or a full queue is over by then
  int64_t cap_ms = 15'000;  // a server that is back is used within a quarter of a minute
  // From the first failure; outlives ten minutes without a tunnel. 0: never try again.
  int64_t budget_ms = 1'800'000;
};

// Exponential back-off with full jitter: the n-th pause is drawn evenly from 0 to
// min(cap, base × 2^n), so that producers that lost one server do not come back in step. One object
// is one request's tries. Not thread-safe.
class RetryPolicy {
 public:
  RetryPolicy(const RetryLimits& limits, uint32_t seed) : limits_(limits), random_(seed) {}

  // The pause after a failure at `now_ms` (of a clock that never steps back), or nothing when the
  // budget would be over by then. A server that named a pause (Retry-After) gets at least that,
  // plus up to base_ms.
  std::optional<int64_t> next_pause_ms(int64_t now_ms, std::optional<int64_t> retry_after_ms);

  // When the first of the failures was; there must have been one.
  int64_t first_failure_ms() const { return *first_failure_ms_; }

 private:
  RetryLimits limits_;
  std::minstd_rand random_;
  std::optional<int64_t> first_failure_ms_;
  int64_t ceiling_ms_ = 0;
};

}  // namespace ca4::producer
