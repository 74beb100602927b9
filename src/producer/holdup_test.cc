#include "producer/holdup.h"

#include <gmock/gmock.h>

namespace ca4::producer {
namespace {

constexpr int64_t kHalfAnHourMs = 1'800'000;

TEST(Holdup, AShortOneIsNotWorthALine) {
  Holdup holdup(kHalfAnHourMs);
  EXPECT_EQ(holdup.failed(1000, 1001, 1500, "HTTP 503"), "");
  EXPECT_EQ(holdup.failed(2500, 2501, 1400, "HTTP 503"), "");
  EXPECT_EQ(holdup.passed(3000), "");
  EXPECT_EQ(holdup.failed(5000, 5001, 1500, "HTTP 503"), "") << "counts anew";
}

TEST(Holdup, ALongOneIsSaidWithItsReasonOnceAMinuteAndWhenItIsOver) {
  Holdup holdup(kHalfAnHourMs);
  EXPECT_EQ(holdup.failed(1000, 1001, 100, "no route"), "");
  EXPECT_EQ(holdup.failed(3500, 3900, 100, "no route"),
            "waiting for the processor (0:03 so far, 30:00 at most): no route");
  EXPECT_EQ(holdup.failed(20'000, 20'001, 100, "no route"), "");
  EXPECT_EQ(holdup.failed(70'000, 71'000, 100, "HTTP 502"),
            "waiting for the processor (1:10 so far, 30:00 at most): HTTP 502");
  EXPECT_EQ(holdup.passed(73'000), "the processor takes events again, after 1:12");
  EXPECT_EQ(holdup.passed(74'000), "");
}

TEST(Holdup, WhatIsKnownToBeLongIsSaidAtOnce) {
  Holdup waits(kHalfAnHourMs);
  EXPECT_NE(waits.failed(1000, 1001, 60'000, "HTTP 429"), "") << "the pause of Retry-After";
  Holdup hangs(kHalfAnHourMs);
  EXPECT_NE(hangs.failed(1000, 6000, 100, "connection timed out"), "");
}

}  // namespace
}  // namespace ca4::producer
