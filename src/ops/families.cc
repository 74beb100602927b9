#include "ops/families.h"

#include <span>
#include <string>

#include "ops/metric_table.h"

namespace ca4::ops {
namespace {

template <class Builder>
auto& build(Builder builder, prometheus::Registry& registry, std::string_view name) {
  const MetricRow& row = metric_row(name);
  return builder.Name(std::string(row.name)).Help(std::string(row.help)).Register(registry);
}

}  // namespace

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry,
                                                  std::string_view name) {
  return build(prometheus::BuildCounter(), registry, name);
}

prometheus::Family<prometheus::Gauge>& gauges(prometheus::Registry& registry,
                                              std::string_view name) {
  return build(prometheus::BuildGauge(), registry, name);
}

Histograms histograms(prometheus::Registry& registry, std::string_view name) {
  const std::span<const double> buckets = metric_row(name).buckets;
  return {build(prometheus::BuildHistogram(), registry, name), {buckets.begin(), buckets.end()}};
}

prometheus::Histogram& histogram(prometheus::Registry& registry, std::string_view name,
                                 const prometheus::Labels& labels) {
  return histograms(registry, name).with(labels);
}

}  // namespace ca4::ops
