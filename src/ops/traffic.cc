#include "ops/traffic.h"

#include <algorithm>
#include <cmath>

namespace ca4::ops {
namespace {

constexpr double kBucketRatio = 1.25;
constexpr double kUsPerMs = 1000;

size_t bucket_of(int64_t latency_us, size_t count) {
  if (latency_us <= 1) return 0;
  const double exact = std::log(static_cast<double>(latency_us)) / std::log(kBucketRatio);
  return std::min(static_cast<size_t>(std::ceil(exact)), count - 1);
}

}  // namespace

void Traffic::add(int64_t now_us, uint64_t accepted, uint64_t refused, uint64_t failed,
                  int64_t latency_us) {
  const int64_t second = now_us / 1'000'000;
  const size_t bucket = bucket_of(latency_us, kBuckets);
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_[static_cast<size_t>(second) % slots_.size()];
  if (slot.unix_s != second) slot = Slot{.unix_s = second};
  slot.accepted += accepted;
  slot.refused += refused;
  slot.failed += failed;
  ++slot.latencies[bucket];
}

TrafficSecond Traffic::summary(const Slot& slot) {
  uint64_t total = 0;
  for (const uint32_t count : slot.latencies) total += count;
  // The latency that `share` of the requests did not exceed.
  const auto quantile_ms = [&](double share) {
    const double wanted = share * static_cast<double>(total);
    uint64_t seen = 0;
    for (size_t i = 0; i < slot.latencies.size(); ++i) {
      seen += slot.latencies[i];
      if (seen > 0 && static_cast<double>(seen) >= wanted) {
        return std::pow(kBucketRatio, static_cast<double>(i)) / kUsPerMs;
      }
    }
    return 0.0;
  };
  return {slot.unix_s, slot.accepted,     slot.refused,
          slot.failed, quantile_ms(0.50), quantile_ms(0.99)};
}

std::vector<TrafficSecond> Traffic::last(int64_t now_us, size_t seconds) const {
  const int64_t now_s = now_us / 1'000'000;
  std::vector<TrafficSecond> out;
  const std::lock_guard lock(mutex_);
  for (size_t back = std::min(seconds, kSecondsMax); back > 0; --back) {
    const int64_t second = now_s - static_cast<int64_t>(back);
    const Slot& slot = slots_[static_cast<size_t>(second) % slots_.size()];
    out.push_back(slot.unix_s == second ? summary(slot) : TrafficSecond{.unix_s = second});
  }
  return out;
}

}  // namespace ca4::ops
