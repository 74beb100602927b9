#include "ops/traffic.h"

#include <gtest/gtest.h>

namespace ca4::ops {
namespace {

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kNow = 1'800'000'000 * kSecond;

TEST(TrafficTest, SecondsWithoutTrafficAreThereAsZeros) {
  const Traffic traffic;
  const auto last = traffic.last(kNow, 5);
  ASSERT_EQ(last.size(), 5U);
  EXPECT_EQ(last.front().unix_s, kNow / kSecond - 5);
  EXPECT_EQ(last.back().unix_s, kNow / kSecond - 1);
  EXPECT_EQ(last.back().accepted, 0U);
  EXPECT_EQ(last.back().p99_ms, 0);
}

TEST(TrafficTest, CountsAndQuantilesAreOfTheirSecond) {
  Traffic traffic;
  for (int i = 0; i < 98; ++i) traffic.add(kNow, 1, 0, 0, 1000);
  for (int i = 0; i < 2; ++i) traffic.add(kNow, 0, 3, 1, 1'000'000);
  traffic.add(kNow + kSecond, 64, 0, 0, 10);
  const auto last = traffic.last(kNow + 2 * kSecond, 2);
  EXPECT_EQ(last[0].accepted, 98U);
  EXPECT_EQ(last[0].refused, 6U);
  EXPECT_EQ(last[0].failed, 2U);
  EXPECT_GE(last[0].p50_ms, 1.0);
  EXPECT_LE(last[0].p50_ms, 1.25);
  EXPECT_GE(last[0].p99_ms, 1000.0);
  EXPECT_LE(last[0].p99_ms, 1250.0);
  EXPECT_EQ(last[1].accepted, 64U);
}

TEST(TrafficTest, AnOldSecondIsForgottenWhenItsPlaceIsTaken) {
  Traffic traffic;
  traffic.add(kNow, 7, 0, 0, 1);
  const int64_t later = kNow + (static_cast<int64_t>(Traffic::kSecondsMax) + 2) * kSecond;
  traffic.add(later, 1, 0, 0, 1);
  const auto last = traffic.last(later + kSecond, 1);
  EXPECT_EQ(last[0].accepted, 1U);
}

}  // namespace
}  // namespace ca4::ops
