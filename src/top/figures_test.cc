#include "top/figures.h"

#include <gmock/gmock.h>

namespace ca4::top {
namespace {

Process seen(const std::string& before, const std::string& after) {
  Process out;
  out.window.push_back({100, Scrape::parse(before)});
  out.window.push_back({110, Scrape::parse(after)});
  return out;
}

class FiguresTest : public testing::Test {
 protected:
  Figures of(std::vector<Process> processes) {
    return Figures(kept_.emplace_back(std::move(processes)));
  }
  std::deque<std::vector<Process>> kept_;
};

TEST_F(FiguresTest, RatesAreOfTheWindowAndAddUpOverProcesses) {
  const Figures figures = of({seen("n{r=\"a\"} 5\nn{r=\"b\"} 1\n", "n{r=\"a\"} 25\nn{r=\"b\"} 1\n"),
                              seen("n{r=\"a\"} 0\n", "n{r=\"a\"} 10\n")});
  EXPECT_EQ(figures.per_second("n", {{"r", "a"}}), 3);
  EXPECT_EQ(figures.per_second("n"), 3);
  EXPECT_EQ(figures.now("n", {{"r", "a"}}), 35);
  EXPECT_EQ(figures.per_second("other"), std::nullopt);
  EXPECT_THAT(figures.values("n", "r"), testing::ElementsAre("a", "b"));
}

TEST_F(FiguresTest, AProcessThatBeganAnewCountsFromThere) {
  EXPECT_EQ(of({seen("n 1000\n", "n 20\n")}).per_second("n"), 2);
  EXPECT_EQ(of({seen("", "n{r=\"new\"} 20\n")}).per_second("n"), 2);
}

TEST_F(FiguresTest, WhatAllTellAlikeCountsOnce) {
  const std::string lag = "lag{p=\"0\"} 4\nlag{p=\"1\"} 6\n";
  const Figures figures = of({seen(lag, lag), seen("", "lag{p=\"0\"} 5\nlag{p=\"1\"} NaN\n")});
  EXPECT_EQ(figures.now_once("lag"), 11);
  EXPECT_EQ(figures.now_once("lag", {{"p", "2"}}), std::nullopt);
}

TEST_F(FiguresTest, QuantilesAreOfWhatTheWindowSaw) {
  const char* before =
      "h_bucket{le=\"0.1\"} 100\nh_bucket{le=\"0.2\"} "
      "100\nh_bucket{le=\"+Inf\"} 100\n";
  const char* after =
      "h_bucket{le=\"0.1\"} 100\nh_bucket{le=\"0.2\"} "
      "110\nh_bucket{le=\"+Inf\"} 110\n";
  const Figures figures = of({seen(before, after)});
  ASSERT_TRUE(figures.quantile(0.5, "h"));
  EXPECT_NEAR(*figures.quantile(0.5, "h"), 0.15, 1e-9)
      << "what was before the window does not count";
  EXPECT_NEAR(*figures.quantile(1, "h"), 0.2, 1e-9);
  EXPECT_EQ(of({seen(before, before)}).quantile(0.5, "h"), std::nullopt);
  EXPECT_EQ(figures.quantile(0.5, "other"), std::nullopt);
}

TEST_F(FiguresTest, AboveTheLastBoundItIsThatBound) {
  const Figures figures = of({seen("", "h_bucket{le=\"0.1\"} 0\nh_bucket{le=\"+Inf\"} 4\n")});
  EXPECT_EQ(figures.quantile(0.99, "h"), 0.1);
}

TEST_F(FiguresTest, WhoDoesNotAnswerCountsForNothing) {
  Process silent = seen("n 1\n", "n 2\n");
  silent.trouble = "nobody listens there";
  EXPECT_EQ(of({silent, Process{}}).now("n"), std::nullopt);
}

}  // namespace
}  // namespace ca4::top
