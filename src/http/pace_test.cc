#include "http/pace.h"

#include <gtest/gtest.h>

namespace ca4::http {
namespace {

constexpr int64_t kAheadMs = 30'000;
constexpr size_t kPerS = 10'000;

TEST(PaceTest, EachByteGivesTheTimeThatTheLeastRateHasForIt) {
  Pace pace(kAheadMs);
  pace.begin(1000, 10'000);
  EXPECT_EQ(pace.due_ms(1000, 0, kPerS), 11'000);
  EXPECT_EQ(pace.due_ms(5000, 50'000, kPerS), 16'000);
  EXPECT_EQ(pace.due_ms(9000, 50'001, kPerS), 16'000);
}

TEST(PaceTest, WhoWasFastAtFirstCanNotStopForLonger) {
  Pace pace(kAheadMs);
  pace.begin(0, 10'000);
  EXPECT_EQ(pace.due_ms(1000, 100'000'000, kPerS), 31'000);
  // From there on each byte counts as before.
  EXPECT_EQ(pace.due_ms(21'000, 100'050'000, kPerS), 36'000);
  EXPECT_EQ(pace.due_ms(35'000, 100'050'000, kPerS), 36'000);
}

TEST(PaceTest, SmallPiecesCountAsMuchAsAllOfThemAtOnce) {
  Pace pace(kAheadMs);
  pace.begin(0, 10'000);
  int64_t due_ms = 0;
  for (size_t bytes = 0; bytes <= 100'000; ++bytes) due_ms = pace.due_ms(0, bytes, kPerS);
  EXPECT_EQ(due_ms, 20'000);
}

}  // namespace
}  // namespace ca4::http
