#include "cli/csv_reader.h"

#include <gmock/gmock.h>

#include "base/test_dir.h"

namespace ca4::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Seen {
  int64_t line;
  std::string raw;
  std::vector<std::string> fields;
  std::string damage;
};

class CsvReaderTest : public testing::Test {
 protected:
  std::vector<Seen> read(const std::string& text, size_t row_bytes_max = 1 << 20) {
    std::ofstream(dir_ / "a.csv", std::ios::binary) << text;
    CsvReader reader = CsvReader::open(dir_ / "a.csv", row_bytes_max).value();
    std::vector<Seen> seen;
    while (true) {
      auto row = reader.next();
      EXPECT_TRUE(row.is_ok()) << row.status().to_string();
      if (!row || !*row) return seen;
      seen.push_back({(*row)->line, std::string((*row)->raw), (*row)->fields, (*row)->damage});
    }
  }

  TempDir dir_;
};

TEST_F(CsvReaderTest, QuotedCommasQuotesAndLineBreaksArePartOfAField) {
  const auto rows = read("1,\"a, \"\"b\"\"\r\nc\"\r\n2,plain\r\n3,\"\"\r\n");
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_THAT(rows[0].fields, ElementsAre("1", "a, \"b\"\r\nc"));
  EXPECT_EQ(rows[0].raw, "1,\"a, \"\"b\"\"\r\nc\"");
  EXPECT_THAT(rows[1].fields, ElementsAre("2", "plain"));
  EXPECT_THAT(rows[2].fields, ElementsAre("3", ""));
  EXPECT_EQ(rows[0].line, 1);
  EXPECT_EQ(rows[1].line, 3);
  EXPECT_EQ(rows[2].line, 4);
}

TEST_F(CsvReaderTest, LinesMayEndWithoutCarriageReturnAndTheLastNotAtAll) {
  const auto rows = read("\n1,a\n\r\n\n2,\"b\"");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_THAT(rows[0].fields, ElementsAre("1", "a"));
  EXPECT_EQ(rows[0].line, 2);
  EXPECT_THAT(rows[1].fields, ElementsAre("2", "b"));
  EXPECT_EQ(rows[1].line, 5);
}

TEST_F(CsvReaderTest, AnEmptyFileHasNoRowAndAMarkInFrontIsSkipped) {
  EXPECT_THAT(read(""), IsEmpty());
  EXPECT_THAT(read("\xEF\xBB\xBF"), IsEmpty());
  EXPECT_THAT(read("\xEF\xBB\xBF"
                   "1,a\n")
                  .at(0)
                  .fields,
              ElementsAre("1", "a"));
}

TEST_F(CsvReaderTest, ARowThatWasCutOffCostsItsLineAndTheNextIsWhole) {
  // The writer died inside a row, its successor went on behind it.
  const auto rows = read(
      "1700000000.1,\"{\"\"a\"\": 1}\"\r\n"
      "1700000000.2,\"{\"\"a\"\": 0.1, 0.1700000000.3,\"{\"\"a\"\": 3}\"\r\n"
      "1700000000.4,\"{\"\"a\"\": 4}\"\r\n");
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].damage, "");
  EXPECT_THAT(rows[1].damage, HasSubstr("cut off"));
  EXPECT_THAT(rows[1].fields, IsEmpty());
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_EQ(rows[1].raw, "1700000000.2,\"{\"\"a\"\": 0.1, 0.1700000000.3,\"{\"\"a\"\": 3}\"");
  EXPECT_THAT(rows[2].fields, ElementsAre("1700000000.4", "{\"a\": 4}"));
  EXPECT_EQ(rows[2].line, 3);
}

TEST_F(CsvReaderTest, AFileThatEndsInsideARowSaysSo) {
  const auto rows = read("1,a\n1700000000.5,\"{\"\"a\"\": [1, 2");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_THAT(rows[1].damage, HasSubstr("ends inside"));
  EXPECT_EQ(rows[1].raw, "1700000000.5,\"{\"\"a\"\": [1, 2");
}

TEST_F(CsvReaderTest, WhatIsInsideADamagedRowDoesNotPassForTheNextOne) {
  const auto rows = read("1,\"a\"b\r\n {\r\n  \"x\": 1\r\n-\r\n2,c\r\n");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].raw, "1,\"a\"b\r\n {\r\n  \"x\": 1\r\n-");
  EXPECT_THAT(rows[1].fields, ElementsAre("2", "c"));
  EXPECT_EQ(rows[1].line, 5);
}

TEST_F(CsvReaderTest, ARowOverTheLimitIsSkippedNotHeld) {
  const auto rows = read("1,\"" + std::string(5'000'000, 'x') + "\"\n2,b\n" + "3" +
                             std::string(3'000'000, 'y') + "\n4,\"d\"\n",
                         1'000);
  ASSERT_THAT(rows, SizeIs(4));
  EXPECT_THAT(rows[0].damage, HasSubstr("more than 1000 bytes"));
  EXPECT_EQ(rows[0].raw, "");
  EXPECT_THAT(rows[1].fields, ElementsAre("2", "b"));
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_THAT(rows[2].damage, HasSubstr("more than 1000 bytes"));
  EXPECT_THAT(rows[3].fields, ElementsAre("4", "d"));
  EXPECT_EQ(rows[3].line, 4);
}

TEST_F(CsvReaderTest, RowsOfMegabytesAcrossReadsComeWhole) {
  std::string text;
  for (int i = 0; i < 5; ++i) {
    text +=
        std::to_string(i) + ",\"" + std::string(700'000, static_cast<char>('a' + i)) + "\"\"\"\r\n";
  }
  const auto rows = read(text);
  ASSERT_THAT(rows, SizeIs(5));
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(rows[i].fields.at(1), std::string(700'000, static_cast<char>('a' + i)) + "\"");
    EXPECT_EQ(rows[i].line, static_cast<int64_t>(i) + 1);
  }
}

TEST_F(CsvReaderTest, WhatIsNotThereIsNamed) {
  const Status status = CsvReader::open(dir_ / "none.csv").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(dir_ / "none.csv"));
}

}  // namespace
}  // namespace ca4::cli
