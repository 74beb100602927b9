#include "base/stop_signal.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace ca4 {
namespace {

TEST(StopSignal, EndsAWaitFromAnotherThreadAndEveryLaterOne) {
  StopSignal stop;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop.request();
  });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(stop.wait_ms(60'000));
  EXPECT_FALSE(stop.wait_ms(60'000));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  other.join();
  EXPECT_TRUE(stop.requested());
}

TEST(StopSignal, AWaitWithoutAStopTakesItsTime) {
  StopSignal stop;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(stop.wait_ms(20));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(20));
}

TEST(Backoff, PausesGrowToTheCapAndNeverAreZero) {
  Backoff backoff({.min_ms = 10, .max_ms = 75}, 1);
  for (const int64_t ceiling : {10, 20, 40, 75, 75, 75}) {
    const int64_t pause = backoff.next_ms();
    EXPECT_LE(pause, ceiling);
    EXPECT_GE(pause, ceiling / 2);
  }
  Backoff zero({.min_ms = 0, .max_ms = 0}, 1);
  EXPECT_EQ(zero.next_ms(), 1);
}

TEST(Backoff, WorkersWithDifferentSeedsDoNotComeBackInStep) {
  Backoff one({.min_ms = 1'000, .max_ms = 60'000}, 1);
  Backoff two({.min_ms = 1'000, .max_ms = 60'000}, 2);
  int same = 0;
  for (int i = 0; i < 6; ++i) same += one.next_ms() == two.next_ms() ? 1 : 0;
  EXPECT_LT(same, 6);
}

}  // namespace
}  // namespace ca4
