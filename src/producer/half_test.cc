#include "producer/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace ca4::producer {
namespace {

TEST(Half, EveryHalfSurvivesTheWayThroughFloat) {
  std::vector<uint16_t> halves;
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const bool is_nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
    if (!is_nan) halves.push_back(static_cast<uint16_t>(bits));
  }
  std::vector<float> floats(halves.size());
  widen(halves, floats);
  std::vector<uint16_t> back(halves.size());
  narrow(floats, back);
  EXPECT_EQ(back, halves);
}

TEST(Half, RoundsToNearestAndHalvesToEvenInEveryLengthOfSpan) {
  // 2048 to 4096 have halves 2 apart: 2049 lies between 2048 and 2050, 2051 between 2050 and 2052.
  for (const size_t count : {1U, 7U, 8U, 9U, 23U}) {
    std::vector<float> floats(count, 2049.0F);
    floats.back() = 2051.0F;
    std::vector<uint16_t> halves(count);
    narrow(floats, halves);
    widen(halves, floats);
    EXPECT_EQ(floats.back(), 2052.0F) << count;
    if (count > 1) {
      EXPECT_EQ(floats.front(), 2048.0F) << count;
    }
  }
}

TEST(Half, TooLargeIsInfinity) {
  std::vector<uint16_t> halves(1);
  narrow(std::vector<float>{70'000.0F}, halves);
  std::vector<float> floats(1);
  widen(halves, floats);
  EXPECT_TRUE(std::isinf(floats[0]));
}

}  // namespace
}  // namespace ca4::producer
