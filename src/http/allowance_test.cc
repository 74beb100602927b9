#include "http/allowance.h"

#include <gtest/gtest.h>

namespace ca4::http {
namespace {

using std::chrono::milliseconds;

const Allowance::Time kStart{std::chrono::hours(1)};

TEST(Allowance, GivesItsBurstAtOnceAndThenItsRate) {
  Allowance two(2, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(two.take(kStart).count(), 0);
  EXPECT_EQ(two.take(kStart).count(), 500);
  EXPECT_EQ(two.take(kStart + milliseconds(400)).count(), 100);
  EXPECT_EQ(two.take(kStart + milliseconds(500)).count(), 0);
  EXPECT_EQ(two.take(kStart + milliseconds(500)).count(), 500);
}

TEST(Allowance, WhatIsNotUsedAddsUpToTheBurstAndNoFurther) {
  Allowance one(1, 2);
  EXPECT_EQ(one.take(kStart).count(), 0);
  EXPECT_FALSE(one.full(kStart));
  const Allowance::Time later = kStart + std::chrono::hours(1);
  EXPECT_TRUE(one.full(later));
  EXPECT_EQ(one.take(later).count(), 0);
  EXPECT_EQ(one.take(later).count(), 0);
  EXPECT_EQ(one.take(later).count(), 1000);
}

TEST(Allowance, LookingTakesNothing) {
  Allowance one(1, 1);
  EXPECT_EQ(one.wait(kStart).count(), 0);
  EXPECT_EQ(one.wait(kStart).count(), 0);
  EXPECT_EQ(one.take(kStart).count(), 0);
  EXPECT_EQ(one.wait(kStart + milliseconds(250)).count(), 750);
}

TEST(Allowance, AClockThatStandsOrGoesBackGivesNothing) {
  Allowance one(1, 1);
  EXPECT_EQ(one.take(kStart).count(), 0);
  EXPECT_GT(one.take(kStart - std::chrono::minutes(1)).count(), 0);
  EXPECT_GT(one.take(kStart).count(), 0);
}

}  // namespace
}  // namespace ca4::http
