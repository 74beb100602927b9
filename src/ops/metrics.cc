#include "ops/metrics.h"

#include <dirent.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "ops/families.h"

namespace ca4::ops {
namespace {

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  constexpr double kUsPerS = 1e6;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / kUsPerS;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0;
  double resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double open_descriptors() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return 0;
  int count = -3;  // ".", ".." and this very listing
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count;
}

}  // namespace

struct Metrics::Impl {
  struct Asked {
    prometheus::Gauge* gauge;
    std::function<double()> value;
  };
  prometheus::Registry registry;
  struct Counted {
    prometheus::Counter* counter;
    std::function<double()> value;
  };
  std::mutex scrape_mutex;
  std::vector<Asked> asked;
  std::vector<Counted> counted;
  std::vector<std::function<void()>> updates;
};

Metrics::Metrics(const std::string& version, const std::string& command)
    : impl_(std::make_unique<Impl>()) {
  counter("process_cpu_seconds_total", cpu_seconds);
  gauge("process_resident_memory_bytes", resident_bytes);
  gauge("process_open_fds", open_descriptors);
  const auto started = static_cast<double>(std::time(nullptr));
  gauge("process_start_time_seconds", [started] { return started; });
  gauges(impl_->registry, "ca4_build_info")
      .Add({{"version", version}, {"command", command}})
      .Set(1);
}

Metrics::~Metrics() = default;

prometheus::Registry& Metrics::registry() {
  return impl_->registry;
}

void Metrics::gauge(std::string_view name, std::function<double()> value, const Labels& labels) {
  impl_->asked.push_back({&gauges(impl_->registry, name).Add(labels), std::move(value)});
}

void Metrics::counter(std::string_view name, std::function<double()> value, const Labels& labels) {
  impl_->counted.push_back({&counters(impl_->registry, name).Add(labels), std::move(value)});
}

void Metrics::before_scrape(std::function<void()> update) {
  impl_->updates.push_back(std::move(update));
}

std::string Metrics::text() {
  const std::lock_guard lock(impl_->scrape_mutex);
  for (const auto& update : impl_->updates) update();
  for (const auto& [gauge, value] : impl_->asked) gauge->Set(value());
  for (const auto& [counter, value] : impl_->counted) {
    counter->Increment(value() - counter->Value());
  }
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace ca4::ops
