#include "top/scrape.h"

#include <gtest/gtest.h>

namespace ca4::top {
namespace {

TEST(ScrapeTest, SamplesAreReadAndTheRestIsLeftOut) {
  const Scrape scrape = Scrape::parse(
      "# HELP a what it is\n# TYPE a counter\n"
      "a{result=\"ok\",why=\"a \\\"b\\\\ \\n,}\"} 3\n"
      "a{result=\"bad\"} 4.5e1 1700000000000\n"
      "\n"
      "b 7\n"
      "c NaN\n"
      "broken{x=\"1\n"
      "alone\n"
      "d{} 1\n"
      "e{x=\"1\"} +Inf");
  ASSERT_EQ(scrape.of("a").size(), 2U);
  EXPECT_EQ(scrape.of("a")[0].labels.at("why"), "a \"b\\ \n,}");
  EXPECT_EQ(scrape.sum("a"), 48);
  EXPECT_EQ(scrape.sum("a", {{"result", "bad"}}), 45);
  EXPECT_EQ(scrape.sum("a", {{"result", "none"}}), std::nullopt);
  EXPECT_EQ(scrape.sum("b"), 7);
  EXPECT_EQ(scrape.sum("c"), std::nullopt) << "not known is not zero";
  EXPECT_EQ(scrape.sum("d"), 1);
  EXPECT_TRUE(scrape.of("broken").empty());
  EXPECT_TRUE(scrape.of("alone").empty());
}

}  // namespace
}  // namespace ca4::top
