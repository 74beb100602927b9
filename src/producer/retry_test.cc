#include "producer/retry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace ca4::producer {
namespace {

constexpr RetryLimits kLimits{.base_ms = 100, .cap_ms = 1'000, .budget_ms = 60'000};

TEST(RetryPolicy, CeilingDoublesUpToTheCap) {
  const int64_t ceilings_ms[] = {100, 200, 400, 800, 1'000, 1'000};
  std::array<int64_t, 6> largest{};
  std::array<int64_t, 6> smallest;
  smallest.fill(1'000'000);
  for (uint32_t seed = 1; seed <= 500; ++seed) {
    RetryPolicy policy(kLimits, seed * 7919);
    for (size_t i = 0; i < 6; ++i) {
      const int64_t pause_ms = *policy.next_pause_ms(0, std::nullopt);
      largest[i] = std::max(largest[i], pause_ms);
      smallest[i] = std::min(smallest[i], pause_ms);
    }
  }
  for (size_t i = 0; i < 6; ++i) {
    // Full jitter: all of the range is used, and nothing beyond it.
    EXPECT_LE(largest[i], ceilings_ms[i]);
    EXPECT_GT(largest[i], ceilings_ms[i] * 9 / 10);
    EXPECT_LT(smallest[i], ceilings_ms[i] / 10);
  }
}

TEST(RetryPolicy, GivesUpWhenTheBudgetIsOver) {
  RetryPolicy policy(kLimits, 1);
  int64_t now_ms = 5'000;
  int tries = 0;
  while (const auto pause_ms = policy.next_pause_ms(now_ms, std::nullopt)) {
    now_ms += *pause_ms + 50;  // each try takes its time as well
    ASSERT_LT(++tries, 10'000);
  }
  EXPECT_LE(now_ms - 5'000, 60'000 + 50);
  EXPECT_GT(now_ms - 5'000, 58'000);
}

TEST(RetryPolicy, ServersPauseIsTheLeast) {
  RetryPolicy policy(kLimits, 1);
  for (int i = 0; i < 50; ++i) {
    const int64_t pause_ms = *policy.next_pause_ms(0, 7'000);
    EXPECT_GE(pause_ms, 7'000);
    EXPECT_LE(pause_ms, 7'100);
  }
}

TEST(RetryPolicy, PauseBeyondTheBudgetIsNotWaitedFor) {
  RetryPolicy policy(kLimits, 1);
  EXPECT_FALSE(policy.next_pause_ms(0, 61'000));
}

TEST(RetryPolicy, BudgetOfZeroNeverRetries) {
  RetryPolicy policy({.budget_ms = 0}, 1);
  EXPECT_FALSE(policy.next_pause_ms(0, std::nullopt));
}

}  // namespace
}  // namespace ca4::producer
