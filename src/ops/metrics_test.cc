#include "ops/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ca4::ops {
namespace {

using testing::HasSubstr;

TEST(MetricsTest, TextTellsOfTheProcessAndTheBuild) {
  Metrics metrics("1.2.3", "serve");
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("ca4_build_info{command=\"serve\",version=\"1.2.3\"} 1"));
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter"));
  EXPECT_THAT(text, HasSubstr("process_resident_memory_bytes"));
  EXPECT_THAT(text, HasSubstr("process_open_fds"));
}

TEST(MetricsTest, GaugesAreAskedAtEachScrape) {
  Metrics metrics("1", "up");
  int asked = 0;
  metrics.gauge("ca4_http_connections", [&] { return static_cast<double>(++asked); });
  EXPECT_THAT(metrics.text(), HasSubstr("ca4_http_connections 1\n"));
  EXPECT_THAT(metrics.text(), HasSubstr("ca4_http_connections 2\n"));
}

}  // namespace
}  // namespace ca4::ops
