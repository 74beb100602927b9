#include "producer/run_monitor.h"

#include <condition_variable>

namespace ca4::producer {

RunMonitor::RunMonitor(const GpuMonitor& gpu, const Progress& progress, int64_t interval_ms)
    : gpu_(gpu),
      progress_(progress),
      interval_ms_(interval_ms),
      hardware_json_(gpu.hardware_json()),
      moments_{now()},
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

RunMonitor::~RunMonitor() {
  thread_.request_stop();
}

Moment RunMonitor::now() const {
  const auto elapsed = std::chrono::steady_clock::now() - start_;
  return {.t_s = std::chrono::duration<double>(elapsed).count(),
          .images = progress_.settled(),
          .gpu = gpu_.sample()};
}

void RunMonitor::watch(const std::stop_token& stop) {
  std::mutex unused;
  std::condition_variable_any wake;
  std::unique_lock lock(unused);
  while (true) {
    wake.wait_for(lock, stop, std::chrono::milliseconds(interval_ms_), [] { return false; });
    if (stop.stop_requested()) return;
    const Moment moment = now();
    std::string hardware = gpu_.hardware_json();
    const std::scoped_lock guard(mutex_);
    hardware_json_ = std::move(hardware);
    moments_.push_back(moment);
    if (moments_.size() < kMomentsMax) continue;
    for (size_t i = 0; i < moments_.size() / 2; ++i) moments_[i] = moments_[2 * i];
    moments_.resize(moments_.size() / 2);
    interval_ms_ *= 2;
  }
}

std::string RunMonitor::hardware_json() const {
  const std::scoped_lock lock(mutex_);
  return hardware_json_;
}

std::vector<Moment> RunMonitor::timeline() const {
  const Moment last = now();
  const std::scoped_lock lock(mutex_);
  std::vector<Moment> out = moments_;
  const bool too_close =
      out.size() > 1 && last.t_s - out.back().t_s < 0.5e-3 * static_cast<double>(interval_ms_);
  if (too_close) out.pop_back();
  out.push_back(last);
  return out;
}

}  // namespace ca4::producer
