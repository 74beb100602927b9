#include "event/json_text.h"

#include <gtest/gtest.h>

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

TEST(Excerpt, NeverCutsACharacter) {
  EXPECT_EQ(excerpt("aé", 2), "a");
  EXPECT_EQ(excerpt("aé", 3), "aé");
  EXPECT_EQ(excerpt("日本", 5), "日");
}

}  // namespace
}  // namespace ca4::event
