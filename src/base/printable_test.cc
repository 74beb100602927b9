#include "base/printable.h"

#include <gtest/gtest.h>

namespace ca4 {
namespace {

TEST(Printable, ControlCharactersAreEscaped) {
  EXPECT_EQ(printable("a\x1b[31m\n"), "a\\x1b[31m\\x0a");
  EXPECT_EQ(printable(std::string_view("\0\x7f", 2)), "\\x00\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");  // CSI, as the escape and a bracket are
}

TEST(Printable, LettersOfAnyLanguageStay) {
  for (const char* text : {"", "kätzchen", "猫", "кот", "🐈 ~", "\xc2\xa0"}) {
    EXPECT_EQ(printable(text), text);
  }
}

TEST(Printable, BytesThatAreNoUtf8AreEscapedAndWhatIsBesideThemStays) {
  EXPECT_EQ(printable("k\xff"), "k\\xff");
  EXPECT_EQ(printable("Gr\xf6\xdf"
                      "e ä"),
            "Gr\\xf6\\xdfe ä");
  EXPECT_EQ(printable("\xe7\x8c"), "\\xe7\\x8c");                    // cut off
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");                    // longer than it need be
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // half of a UTF-16 pair
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // behind the last there is
}

TEST(Printable, LinesStayWhereThereMayBeSeveral) {
  EXPECT_EQ(printable_lines("a\n\tb\r\x1b\n"), "a\n\tb\\x0d\\x1b\n");
}

}  // namespace
}  // namespace ca4
