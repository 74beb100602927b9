// What the processor did in the last minutes, second by second, for the page.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace ca4::ops {

// One second of traffic. Latencies are from the complete request to the answer, over the requests
// of that second; 0 when there was none. They are upper bounds of buckets about 25 % wide.
struct TrafficSecond {
  int64_t unix_s = 0;
  uint64_t accepted = 0;  // events acknowledged
  uint64_t refused = 0;   // events answered with a 4xx
  uint64_t failed = 0;    // events answered with a 5xx
  double p50_ms = 0;
  double p99_ms = 0;
};

// Thread-safe; keeps two minutes, about 40 KiB.
class Traffic {
 public:
  // One answered request of `accepted + refused + failed` events at `now_us` (Unix).
  void add(int64_t now_us, uint64_t accepted, uint64_t refused, uint64_t failed,
           int64_t latency_us);

  // The `seconds` (at most kSecondsMax) whole seconds before `now_us`, oldest first, without gaps.
  std::vector<TrafficSecond> last(int64_t now_us, size_t seconds) const;

  static constexpr size_t kSecondsMax = 120;

 private:
  // 1.25^79 µs is 45 s: an answer takes less.
  static constexpr size_t kBuckets = 80;
  struct Slot {
    int64_t unix_s = -1;
    uint64_t accepted = 0, refused = 0, failed = 0;
    std::array<uint32_t, kBuckets> latencies{};
  };
  static TrafficSecond summary(const Slot& slot);

  mutable std::mutex mutex_;
  std::array<Slot, kSecondsMax + 2> slots_{};
};

}  // namespace ca4::ops
