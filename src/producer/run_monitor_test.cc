#include "producer/run_monitor.h"

#include <gtest/gtest.h>

#include <thread>

namespace ca4::producer {
namespace {

TEST(RunMonitor, TimelineEndsNowAndNoTwoMomentsAreAlmostOne) {
  const GpuMonitor gpu;
  Progress progress;
  constexpr int64_t kIntervalMs = 20;
  const RunMonitor monitor(gpu, progress, kIntervalMs);
  std::vector<Moment> timeline = monitor.timeline();
  while (timeline.size() < 5) {
    progress.sent += 1;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    timeline = monitor.timeline();
    EXPECT_EQ(timeline.front().images, 0U);
    EXPECT_EQ(timeline.back().images, progress.settled());
    for (size_t i = 2; i < timeline.size(); ++i) {
      EXPECT_GE(timeline[i].t_s - timeline[i - 1].t_s, 0.4e-3 * kIntervalMs) << i;
    }
  }
}

}  // namespace
}  // namespace ca4::producer
