// The metrics endpoint's text, and the metrics every process has.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace prometheus {
class Registry;
}

namespace ca4::ops {

// Of what Metrics::text gives.
inline constexpr std::string_view kMetricsContentType = "text/plain; version=0.0.4; charset=utf-8";

// A registry with what Prometheus clients tell of a process (process_cpu_seconds_total,
// process_resident_memory_bytes, process_open_fds, process_start_time_seconds) and
// ca4_build_info{version,command}. Every name is one of ops/metric_table.h. Thread-safe.
class Metrics {
 public:
  Metrics(const std::string& version, const std::string& command);
  ~Metrics();

  prometheus::Registry& registry();

  using Labels = std::map<std::string, std::string>;
  // A value that is asked for at each scrape, from the scraping thread. Give it before the first.
  // One name may come several times, each with labels of its own.
  void gauge(std::string_view name, std::function<double()> value, const Labels& labels = {});

  // The same for a count that only grows.
  void counter(std::string_view name, std::function<double()> value, const Labels& labels = {});

  // What is done at each scrape before its values are read, in the scraping thread: for families
  // whose labels are not known before. Give it before the first.
  void before_scrape(std::function<void()> update);

  // Everything in the Prometheus text format 0.0.4.
  std::string text();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::ops
