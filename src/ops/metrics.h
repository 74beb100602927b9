// The metrics endpoint's text, and the metrics every process has.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace prometheus {
class Registry;
}

namespace ca4::ops {

// A registry with what Prometheus clients tell of a process (process_cpu_seconds_total,
// process_resident_memory_bytes, process_open_fds, process_start_time_seconds) and
// ca4_build_info{version}. Thread-safe.
class Metrics {
 public:
  explicit Metrics(const std::string& version);
  ~Metrics();

  prometheus::Registry& registry();

  using Labels = std::map<std::string, std::string>;
  // A value that is asked for at each scrape, from the scraping thread. Give it before the first.
  // One name may come several times, each with labels of its own.
  void gauge(const std::string& name, const std::string& help, std::function<double()> value,
             const Labels& labels = {});

  // The same for a count that only grows.
  void counter(const std::string& name, const std::string& help, std::function<double()> value,
               const Labels& labels = {});

  // Everything in the Prometheus text format 0.0.4.
  std::string text();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::ops
