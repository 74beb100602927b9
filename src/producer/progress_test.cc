#include "producer/progress.h"

#include <gmock/gmock.h>

namespace ca4::producer {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ProgressLine, ShowsCountRateAndTimeLeft) {
  EXPECT_EQ(progress_line({.done = 120, .all = 320, .skipped = 2, .images_per_s = 31.25}, 100),
            "[=========>              ]  120/320  37 %  31.2 images/s  0:07 left  2 skipped");
}

TEST(ProgressLine, DoneIsAHundredPercentAndNotBefore) {
  EXPECT_THAT(progress_line({.done = 1000, .all = 1000}, 100), HasSubstr("100 %"));
  EXPECT_THAT(progress_line({.done = 999, .all = 1000}, 100), HasSubstr("99 %"));
}

TEST(ProgressLine, NeverWiderThanTheTerminal) {
  const ProgressView view{.done = 1, .all = 20'000'000, .skipped = 123, .images_per_s = 0.001};
  for (size_t columns = 0; columns < 120; ++columns) {
    EXPECT_LE(progress_line(view, columns).size(), columns);
  }
  EXPECT_THAT(progress_line(view, 100), Not(HasSubstr("left")));
}

TEST(ProgressLine, NothingDoneYetHasNoRate) {
  EXPECT_EQ(progress_line({.done = 0, .all = 5}, 79), "[>                       ]  0/5  0 %");
}

TEST(DurationText, RoundsUp) {
  EXPECT_EQ(duration_text(0.1), "0:01");
  EXPECT_EQ(duration_text(59.5), "1:00");
  EXPECT_EQ(duration_text(3723), "1:02:03");
}

TEST(SummaryText, CountsEverything) {
  Report report;
  report.files = 10;
  report.sent = 6;
  report.already_sent = 3;
  report.wall_s = 2;
  report.model_busy_s = 1.5;
  report.skipped = {{"/a.jpg", "broken"}};
  EXPECT_EQ(summary_text(report, "j"),
            "10 images: 6 sent, 3 already sent, 1 skipped\n"
            "2.0 s, 3.0 images/s, model busy 75 %\n");
}

TEST(SummaryText, WithNothingNewNamesTheJournalThatSaysSo) {
  Report report;
  report.files = 2;
  report.already_sent = 2;
  EXPECT_THAT(summary_text(report, "some.journal"),
              HasSubstr("\nNothing new: some.journal knows all of them"));
  report.files = 3;
  report.sent = 1;
  EXPECT_THAT(summary_text(report, "some.journal"), Not(HasSubstr("some.journal")));
}

TEST(SummaryText, AfterAStopSaysHowToGoOn) {
  Report report;
  report.files = 10;
  report.sent = 6;
  report.status = {Code::kCancelled, "stopped"};
  const std::string text = summary_text(report, "some.journal");
  EXPECT_THAT(text, HasSubstr("4 not sent"));
  EXPECT_THAT(text, HasSubstr("Run the same command again to go on: some.journal"));
}

}  // namespace
}  // namespace ca4::producer
