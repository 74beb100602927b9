#include "http/parameters.h"

#include <gtest/gtest.h>

#include <array>

namespace ca4::http {
namespace {

constexpr std::array<std::string_view, 2> kAllowed = {"id", "limit"};

TEST(PercentDecode, DecodesBytesAndRefusesHalfAnEscape) {
  EXPECT_EQ(percent_decode("a%20b%C3%a9+", false), "a b\xC3\xA9+");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  EXPECT_FALSE(percent_decode("%2", false));
  EXPECT_FALSE(percent_decode("%zz", false));
  EXPECT_FALSE(percent_decode("%+1", true));
}

TEST(Parameters, ValuesAreDecodedAndEmptyOnesAreAbsent) {
  Parameters given;
  ASSERT_FALSE(Parameters::parse("id=a%26b%3D+c&&limit=", kAllowed, given));
  EXPECT_EQ(given.text("id"), "a&b= c");
  EXPECT_FALSE(given.text("limit"));
}

TEST(Parameters, MisspeltTwiceAndBrokenParametersAreNamed) {
  for (const std::string_view query : {"limt=3", "limt", "id=1&limt=%41"}) {
    Parameters given;
    const auto error = Parameters::parse(query, kAllowed, given);
    ASSERT_TRUE(error) << query;
    EXPECT_EQ(error->name, "limt");
  }
  for (const std::string_view query : {"id=1&id=2", "id=%4"}) {
    Parameters given;
    const auto error = Parameters::parse(query, kAllowed, given);
    ASSERT_TRUE(error) << query;
    EXPECT_EQ(error->name, "id");
  }
}

TEST(Parameters, NumbersOutsideTheirRangeAreRefused) {
  for (const std::string_view query :
       {"limit=0", "limit=201", "limit=-1", "limit=1x", "limit=", "limit=99999999999999999999"}) {
    Parameters given;
    ASSERT_FALSE(Parameters::parse(query, kAllowed, given));
    size_t limit = 20;
    EXPECT_TRUE(given.number("limit", 1, 200, limit)) << query;
    EXPECT_EQ(limit, 20U);
  }
  Parameters given;
  ASSERT_FALSE(Parameters::parse("limit=200", kAllowed, given));
  size_t limit = 20;
  EXPECT_FALSE(given.number("limit", 1, 200, limit));
  EXPECT_EQ(limit, 200U);
}

}  // namespace
}  // namespace ca4::http
