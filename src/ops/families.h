// Metrics made from their rows of the table.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string_view>

namespace ca4::ops {

// The family of that name in `registry`, made when it is not there yet. `name` must be in the table
// as this kind (metric_row). Thread-safe; a search by name, so not for every request.
prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry,
                                                  std::string_view name);
prometheus::Family<prometheus::Gauge>& gauges(prometheus::Registry& registry,
                                              std::string_view name);

// A family of histograms with the table's buckets.
struct Histograms {
  prometheus::Family<prometheus::Histogram>& family;
  prometheus::Histogram::BucketBoundaries buckets;

  // The one with these labels, made when it is not there yet. Thread-safe.
  prometheus::Histogram& with(const prometheus::Labels& labels) const {
    return family.Add(labels, buckets);
  }
};
Histograms histograms(prometheus::Registry& registry, std::string_view name);
// One of them, for whoever wants no other.
prometheus::Histogram& histogram(prometheus::Registry& registry, std::string_view name,
                                 const prometheus::Labels& labels = {});

}  // namespace ca4::ops
