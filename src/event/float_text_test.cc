#include "event/float_text.h"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "event/json_text.h"

namespace ca4::event {
namespace {

std::string float_text(float value) {
  std::array<char, kFloatTextBytesMax> text;
  const char* end = write_float_texts(text.data(), {&value, 1});
  EXPECT_EQ(end[-1], ',');
  return {text.data(), static_cast<size_t>(end - 1 - text.data())};
}

// What it must be: std::to_chars prints the shortest, as an integer where it is one.
std::string expected_text(float value) {
  std::array<char, 64> text;
  std::string expected(text.data(),
                       std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  if (expected.find_first_of(".e") == std::string::npos) expected += ".0";
  return expected;
}

TEST(FloatText, ReadsBackToTheSameBits) {
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(random()));
    if (!std::isfinite(value)) continue;
    const std::string text = float_text(value);
    EXPECT_TRUE(is_json_number(text)) << text;
    EXPECT_NE(text.find_first_of(".e"), std::string::npos) << text;
    EXPECT_EQ(std::strtof(text.c_str(), nullptr), value) << text;
  }
}

TEST(FloatText, IsTheShortestText) {
  std::mt19937 random(5);
  for (int i = 0; i < 200'000; ++i) {
    // Every order of magnitude that has no exponent, and those next to them.
    const auto value =
        std::bit_cast<float>(static_cast<uint32_t>(random() % (40U << 23U) + (110U << 23U)));
    ASSERT_EQ(float_text(value), expected_text(value));
    ASSERT_EQ(float_text(-value), expected_text(-value));
  }
  for (float value : {0.0F, 1e-4F, 0.00099999994F, 1e-3F, 0.5F, 1.0F, 9.5F, 10.0F, 123.0F, 0.1F,
                      99999.99F, 1e5F, 100000.0F, 16777216.0F}) {
    EXPECT_EQ(float_text(value), expected_text(value));
    EXPECT_EQ(float_text(std::nextafter(value, 0.0F)), expected_text(std::nextafter(value, 0.0F)));
    EXPECT_EQ(float_text(-value), expected_text(-value));
  }
  for (int whole = 1; whole < 100'000; ++whole) {
    const auto value = static_cast<float>(whole);
    ASSERT_EQ(float_text(value), expected_text(value));
  }
}

TEST(FloatText, ManyAreAsEachAlone) {
  std::mt19937 random(7);
  for (size_t count = 0; count < 70; ++count) {
    std::vector<float> values;
    std::string expected;
    for (size_t i = 0; i < count; ++i) {
      // Some have an exponent, some are powers of two or zero.
      const float scale = std::ldexp(1.0F, static_cast<int>(random() % 40) - 20);
      values.push_back((static_cast<float>(random() % 2001) / 1000 - 1) * scale);
      expected += expected_text(values.back()) + ",";
    }
    std::string text(count * kFloatTextBytesMax, '\0');
    text.resize(static_cast<size_t>(write_float_texts(text.data(), values) - text.data()));
    EXPECT_EQ(text, expected);
  }
}

TEST(FloatText, FitsWhatItSaysItNeeds) {
  for (float value : {-std::numeric_limits<float>::max(), -std::numeric_limits<float>::min(),
                      -std::numeric_limits<float>::denorm_min(), -1.1754944e-38F}) {
    EXPECT_LE(float_text(value).size(), kFloatTextBytesMax);
    EXPECT_EQ(float_text(value), expected_text(value));
  }
}

}  // namespace
}  // namespace ca4::event
