#include <gtest/gtest.h>

#include "cli/query_print.h"
#include "cli/query_time.h"

namespace ca4::cli {
namespace {

constexpr int64_t kNow = 1'795'460'297'000'000;

TEST(QueryTime, AgesCountBackFromNow) {
  EXPECT_EQ(*parse_when("0s", kNow), kNow);
  EXPECT_EQ(*parse_when("30s", kNow), kNow - 30'000'000);
  EXPECT_EQ(*parse_when("15m", kNow), kNow - int64_t{900} * 1'000'000);
  EXPECT_EQ(*parse_when("1h", kNow), kNow - int64_t{3600} * 1'000'000);
  EXPECT_EQ(*parse_when("2d", kNow), kNow - int64_t{2 * 86'400} * 1'000'000);
  EXPECT_EQ(*parse_when("1w", kNow), kNow - int64_t{7 * 86'400} * 1'000'000);
}

TEST(QueryTime, TimesAreTakenAsTheyAre) {
  EXPECT_EQ(*parse_when("2026-11-23T18:58:17Z", kNow), kNow);
}

TEST(QueryTime, AnythingElseIsRefused) {
  for (const char* text : {"", "h", "1", "1y", "-1h", "1 h", "1h30m", "+1h", "yesterday",
                           "99999999999999999999s", "9223372036854775807w"}) {
    EXPECT_EQ(parse_when(text, kNow).status().code(), Code::kInvalidArgument) << text;
  }
}

store::Document document(const std::string& id, const std::string& source) {
  store::Document made;
  made.metadata_id = id;
  made.source_uri = source;
  made.pipeline = "demo";
  made.embedding_dim = 2048;
  made.gpu.device = "cpu";
  return made;
}

std::vector<size_t> line_widths(const std::vector<TableRow>& rows, size_t width_max) {
  const Table table(rows, width_max);
  std::vector<size_t> widths;
  for (const TableRow& row : rows) widths.push_back(display_width(table.line(row)) - 1);
  return widths;
}

TEST(QueryTable, ColumnsStandUnderEachOther) {
  const std::vector<TableRow> rows = {table_row(document("a", "x.jpg"), 0.5),
                                      table_row(document("日本", "y.jpg"), -0.25)};
  const Table table(rows, 0);
  EXPECT_EQ(table.head(), " COSINE  ID    ACCEPTED              DIM  PIPELINE  GPU  SOURCE\n");
  EXPECT_TRUE(table.line(rows[0]).starts_with(" 0.5000  a     "));
  EXPECT_EQ(display_width(table.line(rows[0])), display_width(table.line(rows[1])));
}

TEST(QueryTable, LinesFitTheTerminalAndPathsKeepTheirEnd) {
  const std::vector<TableRow> rows = {
      table_row(document(std::string(60, 'i'), "file:///a/long/way/to/the/cat.jpg"), {}),
      table_row(document("日本語日本語日本語日本語日本語", std::string(300, 's')), {})};
  for (const size_t width : {80U, 100U, 141U}) {
    for (const size_t line : line_widths(rows, width)) EXPECT_LE(line, width);
  }
  const std::string line = Table(rows, 90).line(rows[0]);
  EXPECT_TRUE(line.ends_with("cat.jpg\n")) << line;
  EXPECT_NE(line.find("iii…"), std::string::npos) << line;
}

TEST(QueryTable, AnUnboundedWidthCutsNothing) {
  const std::vector<TableRow> rows = {table_row(document(std::string(300, 'i'), "x"), {})};
  EXPECT_NE(Table(rows, 0).line(rows[0]).find(std::string(300, 'i')), std::string::npos);
}

TEST(QueryTable, WhatSteersATerminalIsNotPrinted) {
  const TableRow row = table_row(document("a\x1b[2J\n\x7f",
                                          "\xc2\x9b"
                                          "31m"),
                                 {});
  EXPECT_EQ(row.cells[1], "a?[2J??");
  EXPECT_EQ(row.cells[7], "?31m");
}

TEST(QueryJson, TheCosineComesFirst) {
  EXPECT_TRUE(document_json(document("a", "b"), 0.5, false)
                  .starts_with(R"({"cosine":0.5,"metadata_id":"a",)"));
  EXPECT_TRUE(document_json(document("a", "b"), {}, false).starts_with(R"({"metadata_id":"a",)"));
}

}  // namespace
}  // namespace ca4::cli
