#include "event/json_text.h"

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

namespace ca4::event {
namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonString, EscapesOnlyWhatMustBe) {
  EXPECT_EQ(quoted("a/é😀\x7f"), "\"a/é😀\x7f\"");
  EXPECT_EQ(quoted("\"\\\n\r\t"), R"("\"\\\n\r\t")");
  EXPECT_EQ(quoted(std::string_view("\0\x1f", 2)), R"("\u0000\u001f")");
  EXPECT_EQ(quoted(""), "\"\"");
}

TEST(JsonString, EscapesTheSameAtEveryPlace) {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    const std::string alone = quoted(std::string_view(&c, 1));
    const std::string inner = alone.substr(1, alone.size() - 2);
    EXPECT_EQ(inner.size() > 1, byte < 0x20 || c == '"' || c == '\\') << byte;
    for (size_t at = 0; at < 20; ++at) {
      std::string text(20, '\xff');
      text[at] = c;
      std::string expected = "\"" + std::string(at, '\xff');
      expected += inner + std::string(19 - at, '\xff') + "\"";
      EXPECT_EQ(quoted(std::string_view(text)), expected) << byte << " at " << at;
    }
  }
}

TEST(JsonNumber, FollowsTheGrammar) {
  for (const char* good :
       {"0", "-0", "10", "1.5", "1e5", "1E+5", "-1.25e-10", "123456789012345678901"}) {
    EXPECT_TRUE(is_json_number(good)) << good;
  }
  for (const char* bad :
       {"", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1 ", " 1", "0x1", "NaN", "1.5.2", "--1"}) {
    EXPECT_FALSE(is_json_number(bad)) << bad;
  }
}

TEST(JsonNumber, FinitenessIsThatOfADouble) {
  EXPECT_TRUE(is_finite_number("1.7976931348623157e308"));
  EXPECT_TRUE(is_finite_number("1e-5000"));
  EXPECT_TRUE(is_finite_number("0.000001e-400"));
  EXPECT_FALSE(is_finite_number("1e309"));
  EXPECT_FALSE(is_finite_number("-1e309"));
}

std::string float_text(float value) {
  std::array<char, kJsonFloatBytesMax> text;
  return {text.data(), write_json_float(text.data(), value)};
}

// What it must be: std::to_chars prints the shortest, as an integer where it is one.
std::string expected_text(float value) {
  std::array<char, 64> text;
  std::string expected(text.data(),
                       std::to_chars(text.data(), text.data() + text.size(), value).ptr);
  if (expected.find_first_of(".e") == std::string::npos) expected += ".0";
  return expected;
}

TEST(JsonFloat, ReadsBackToTheSameBits) {
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

TEST(JsonFloat, IsTheShortestText) {
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

TEST(JsonFloat, FitsWhatItSaysItNeeds) {
  for (float value : {-std::numeric_limits<float>::max(), -std::numeric_limits<float>::min(),
                      -std::numeric_limits<float>::denorm_min(), -1.1754944e-38F}) {
    EXPECT_LE(float_text(value).size(), kJsonFloatBytesMax);
    EXPECT_EQ(float_text(value), expected_text(value));
  }
}

TEST(Excerpt, NeverCutsACharacter) {
  EXPECT_EQ(excerpt("aé", 2), "a");
  EXPECT_EQ(excerpt("aé", 3), "aé");
  EXPECT_EQ(excerpt("日本", 5), "日");
}

}  // namespace
}  // namespace ca4::event
