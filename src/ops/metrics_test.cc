#include "ops/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ca4::ops {
namespace {

using testing::HasSubstr;

TEST(MetricsTest, TextTellsOfTheProcessAndTheBuild) {
  Metrics metrics("1.2.3");
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("ca4_build_info{version=\"1.2.3\"} 1"));
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes"));
  EXPECT_THAT(text, HasSubstr("process_open_fds"));
}

TEST(MetricsTest, GaugesAreAskedAtEachScrape) {
  Metrics metrics("1");
  int asked = 0;
  metrics.gauge("ca4_things", "Things", [&] { return static_cast<double>(++asked); });
  EXPECT_THAT(metrics.text(), HasSubstr("ca4_things 1\n"));
  EXPECT_THAT(metrics.text(), HasSubstr("ca4_things 2\n"));
}

}  // namespace
}  // namespace ca4::ops
