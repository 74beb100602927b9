#include "base/log_limiter.h"

#include <gtest/gtest.h>

namespace ca4 {
namespace {

using std::chrono::seconds;

TEST(LogLimiter, SaysEachKindOnceAPeriodAndHowManyItKeptBack) {
  LogLimiter limiter(seconds(10));
  const LogLimiter::Time start;
  EXPECT_EQ(limiter.allow("FAIL", start), 0U);
  EXPECT_EQ(limiter.allow("FAIL", start + seconds(1)), std::nullopt);
  EXPECT_EQ(limiter.allow("FAIL", start + seconds(9)), std::nullopt);
  EXPECT_EQ(limiter.allow("OTHER", start + seconds(9)), 0U);
  EXPECT_EQ(limiter.allow("FAIL", start + seconds(10)), 2U);
  EXPECT_EQ(limiter.allow("FAIL", start + seconds(20)), 0U);
}

}  // namespace
}  // namespace ca4
