#include "base/clock.h"

#include <gtest/gtest.h>

namespace ca4 {
namespace {

TEST(FormatRfc3339, WritesUtcWithMicroseconds) {
  EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(format_rfc3339(1'795'460'297'000'123), "2026-11-23T18:58:17.000123Z");
}

TEST(FormatRfc3339, TimesBeforeTheEpochRoundTowardsThePast) {
  EXPECT_EQ(format_rfc3339(-1), "1969-12-31T23:59:59.999999Z");
}

TEST(ParseRfc3339, ReadsBackWhatFormatWrites) {
  for (const int64_t us : {int64_t{0}, int64_t{1'795'460'297'000'123}, int64_t{-1}}) {
    const Result<int64_t> read = parse_rfc3339(format_rfc3339(us));
    ASSERT_TRUE(read) << read.status().message();
    EXPECT_EQ(*read, us);
  }
}

TEST(ParseRfc3339, OffsetsFractionsAndSpacesAreUnderstood) {
  const int64_t at_us = 1'795'460'297'000'000;
  EXPECT_EQ(*parse_rfc3339("2026-11-23T18:58:17Z"), at_us);
  EXPECT_EQ(*parse_rfc3339("2026-11-23 19:58:17+01:00"), at_us);
  EXPECT_EQ(*parse_rfc3339("2026-11-23t13:28:17-05:30"), at_us);
  EXPECT_EQ(*parse_rfc3339("2026-11-23T18:58:17.5z"), at_us + 500'000);
  EXPECT_EQ(*parse_rfc3339("2026-11-23T18:58:17.1234567Z"), at_us + 123'456);
}

TEST(ParseRfc3339, WhatIsNoTimeIsRefusedWithTheReason) {
  for (const char* text :
       {"", "yesterday", "2026-11-23", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:00Z", "2026-11-23T18:58:17", "2026-11-23T18:58:17.Z",
        "2026-11-23T18:58:17Zx", "2026-11-23T18:58:17+1:00", "2026-11-23T18:58Z"}) {
    const Result<int64_t> read = parse_rfc3339(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.status().code(), Code::kInvalidArgument);
    EXPECT_NE(read.status().message().find("expected"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace ca4
