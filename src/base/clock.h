// Time as the pipeline sees it: microseconds since the Unix epoch, behind an interface so that
// tests can hold it still.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4 {

class Clock {
 public:
  virtual ~Clock() = default;
  // Microseconds since 1970-01-01T00:00:00Z. May step backwards when the host's clock is set.
  // Thread-safe.
  virtual int64_t now_us() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t now_us() const override;
};

// A clock that stands still until told otherwise. Thread-safe.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(int64_t start_us) : now_us_(start_us) {}
  int64_t now_us() const override { return now_us_; }
  void advance_us(int64_t by_us) { now_us_ += by_us; }
  void set_us(int64_t to_us) { now_us_ = to_us; }

 private:
  std::atomic<int64_t> now_us_;
};

// RFC 3339 in UTC with microseconds, e.g. "2026-11-23T18:58:17.000123Z".
std::string format_rfc3339(int64_t unix_us);

// Unix seconds with six decimals: exact, where a double's shortest text would depend on rounding.
std::string unix_seconds_text(int64_t unix_us);

// Unix microseconds of an RFC 3339 time: "2026-11-23T18:58:17.000123Z", also with an offset
// ("+01:00"), without a fraction, or with a space for the T. Digits past microseconds are dropped;
// a leap second (":60") counts as the next minute. kInvalidArgument says what is wrong.
Result<int64_t> parse_rfc3339(std::string_view text);

}  // namespace ca4
