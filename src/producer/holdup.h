// What people are told while the processor takes nothing: without it half an hour of trying again
// looks like a producer that hangs. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ca4::producer {

// Of all requests of a run together. Times are of a clock that never steps back. Not thread-safe.
class Holdup {
 public:
  // Shorter ones are everyday life: a 503 with Retry-After, a restart.
  static constexpr int64_t kQuietMs = 3'000;
  // Half an hour of them is a page of a log.
  static constexpr int64_t kRepeatMs = 60'000;

  // `budget_ms`: how long a request is tried, for the text.
  explicit Holdup(int64_t budget_ms) : budget_ms_(budget_ms) {}

  // A request begun at `began_ms` has failed for `why` at `now_ms` and is tried again after
  // `pause_ms`. The line to show, without its end, or an empty one.
  std::string failed(int64_t began_ms, int64_t now_ms, int64_t pause_ms, const std::string& why);
  // The processor has taken something. As above; empty where nobody was told that it did not.
  std::string passed(int64_t now_ms);

 private:
  int64_t budget_ms_;
  std::optional<int64_t> since_ms_;
  std::optional<int64_t> said_ms_;
};

}  // namespace ca4::producer
