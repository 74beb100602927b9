#include "ops/metrics.h"

#include <dirent.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

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
};

Metrics::Metrics(const std::string& version) : impl_(std::make_unique<Impl>()) {
  prometheus::Registry& all = impl_->registry;
  counter("process_cpu_seconds_total", "User and system CPU time of this process", cpu_seconds);
  gauge("process_resident_memory_bytes", "Memory of this process in RAM", resident_bytes);
  gauge("process_open_fds", "Open file descriptors of this process", open_descriptors);
  const auto started = static_cast<double>(std::time(nullptr));
  gauge("process_start_time_seconds", "When this process started, Unix time",
        [started] { return started; });
  prometheus::BuildGauge()
      .Name("ca4_build_info")
      .Help("Always 1; the version is a label")
      .Register(all)
      .Add({{"version", version}})
      .Set(1);
}

Metrics::~Metrics() = default;

prometheus::Registry& Metrics::registry() {
  return impl_->registry;
}

void Metrics::gauge(const std::string& name, const std::string& help, std::function<double()> value,
                    const Labels& labels) {
  prometheus::Gauge& gauge =
      prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add(labels);
  impl_->asked.push_back({&gauge, std::move(value)});
}

void Metrics::counter(const std::string& name, const std::string& help,
                      std::function<double()> value, const Labels& labels) {
  prometheus::Counter& counter =
      prometheus::BuildCounter().Name(name).Help(help).Register(impl_->registry).Add(labels);
  impl_->counted.push_back({&counter, std::move(value)});
}

std::string Metrics::text() {
  const std::lock_guard lock(impl_->scrape_mutex);
  for (const auto& [gauge, value] : impl_->asked) gauge->Set(value());
  for (const auto& [counter, value] : impl_->counted) {
    counter->Increment(value() - counter->Value());
  }
  return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace ca4::ops
