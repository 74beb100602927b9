// Watches a run: the GPU's state for the events, and a timeline for people.
#pragma once

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "producer/gpu.h"
#include "producer/pipeline.h"

namespace ca4::producer {

struct Moment {
  double t_s = 0;     // since the run began
  size_t images = 0;  // settled so far
  GpuSample gpu;
};

// Samples from its making to its end, in a thread of its own. Both arguments must outlive it.
class RunMonitor {
 public:
  // NVML averages over up to a second: asking more often tells nothing new.
  static constexpr int64_t kIntervalMs = 1000;
  // Beyond this every second moment is dropped and the interval doubles: a day's run is a plot of
  // as many points as a minute's.
  static constexpr size_t kMomentsMax = 2048;

  RunMonitor(const GpuMonitor& gpu, const Progress& progress, int64_t interval_ms = kIntervalMs);
  ~RunMonitor();
  RunMonitor(const RunMonitor&) = delete;
  RunMonitor& operator=(const RunMonitor&) = delete;

  // gpu_hardware at the last sample. Any thread.
  std::string hardware_json() const;
  // So far, and a last one of now, in place of one that is less than half an interval old: a rate
  // between two neighbours is one over a time that says something. Any thread.
  std::vector<Moment> timeline() const;

 private:
  void watch(const std::stop_token& stop);
  Moment now() const;

  const GpuMonitor& gpu_;
  const Progress& progress_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  int64_t interval_ms_;
  mutable std::mutex mutex_;  // hardware_json_, moments_
  std::string hardware_json_;
  std::vector<Moment> moments_;
  std::jthread thread_;
};

}  // namespace ca4::producer
