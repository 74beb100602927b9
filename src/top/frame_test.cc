#include "top/frame.h"

#include <gmock/gmock.h>

#include <sstream>

namespace ca4::top {
namespace {

using testing::HasSubstr;
using testing::Not;

Process seen(const std::string& name, const std::string& before, const std::string& after) {
  Process out;
  out.name = name;
  out.address = "http://127.0.0.1:40123";
  out.window.push_back({100, Scrape::parse(before)});
  out.window.push_back({110, Scrape::parse(after)});
  return out;
}

TEST(FrameTest, HasALineForEachPartThatSomebodyHas) {
  const std::string text =
      frame({seen("serve", "ca4_events_total{result=\"accepted\"} 0\n",
                  "ca4_events_total{result=\"accepted\"} "
                  "12345\nprocess_resident_memory_bytes 1048576\n"),
             seen("work", "",
                  "ca4_documents_total{result=\"inserted\"} "
                  "50\nca4_dead_letters_total{reason=\"x\"} 3\n"
                  "ca4_step_failing{group=\"g\",step=\"store\"} 1\n"
                  "ca4_lag_records{group=\"ca4-worker\",partition=\"0\"} 7\n")},
            80);
  EXPECT_THAT(text, HasSubstr("1,234/s accepted"));
  EXPECT_THAT(text, HasSubstr("(12,345 since the start)"));
  EXPECT_THAT(text, HasSubstr("1.0 MiB  ready\n"));
  EXPECT_THAT(text, HasSubstr("5/s inserted"));
  EXPECT_THAT(text, HasSubstr("ca4-worker 7\n"));
  EXPECT_THAT(text, HasSubstr("3 dead letters  0 retries  FAILING NOW: store\n"));
  EXPECT_THAT(text, Not(HasSubstr("images")));
  EXPECT_THAT(text, Not(HasSubstr("spool")));
}

TEST(FrameTest, AProducerShowsItsImagesAndItsGpus) {
  const std::string gpu = "{gpu=\"1\",name=\"NVIDIA H200\",uuid=\"GPU-2\"}";
  const std::string text =
      frame({seen("produce", "",
                  "ca4_producer_images_total{result=\"sent\"} "
                  "30\nca4_producer_given_images 40\n"
                  "ca4_producer_requests_total{code=\"none\"} "
                  "2\nca4_gpu_temperature_celsius" +
                      gpu + " 61\nca4_gpu_utilization_ratio" + gpu + " 0.97\n")},
            80);
  EXPECT_THAT(text, HasSubstr("30 of 40 done  3/s sent"));
  EXPECT_THAT(text, HasSubstr("no answer: 2"));
  EXPECT_THAT(text, HasSubstr("gpu 1     97 %"));
  EXPECT_THAT(text, HasSubstr("61 C"));
}

TEST(FrameTest, SaysWhoIsAwayAndWhoIsNotReady) {
  Process away = seen("serve", "", "ca4_events_total{result=\"accepted\"} 1\n");
  away.trouble = "nobody listens there";
  away.silent_s = 12;
  Process unwell = seen("work", "", "");
  unwell.not_ready = "document store: no answer";
  const std::string text = frame({away, unwell}, 120);
  EXPECT_THAT(text, HasSubstr("no answer for 12.0 s: nobody listens there"));
  EXPECT_THAT(text, HasSubstr("NOT READY: document store: no answer"));
  EXPECT_THAT(text, Not(HasSubstr("events")));
}

TEST(FrameTest, NoLineIsWiderThanTheTerminalAndNoneSteersIt) {
  Process unwell = seen("work", "", "ca4_documents_total{result=\"inserted\"} 50\n");
  // ESC, and CSI as one character (U+009B).
  unwell.not_ready = "\x1b[31m\xc2\x9b" + std::string("31m") + std::string(300, 'x');
  const std::string text = frame({unwell}, 120);
  EXPECT_THAT(text, HasSubstr("31m"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find("\xc2\x9b"), std::string::npos);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 120U) << line;
}

TEST(FrameTest, FiguresAreShortAndHaveTheirUnit) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(bytes_text(150e9), "140 GiB");
  EXPECT_EQ(seconds_text(0), "0 s");
  EXPECT_EQ(seconds_text(0.00034), "340 us");
  EXPECT_EQ(seconds_text(0.0015), "1.5 ms");
  EXPECT_EQ(seconds_text(0.25), "250 ms");
  EXPECT_EQ(seconds_text(200), "3:20 min");
  EXPECT_EQ(seconds_text(18200), "5:03 h");
  EXPECT_EQ(count_text(0.34), "0.3");
  EXPECT_EQ(count_text(1234567), "1,234,567");
  EXPECT_EQ(count_text(12345678), "12.3 M");
}

}  // namespace
}  // namespace ca4::top
