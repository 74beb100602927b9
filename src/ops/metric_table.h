// The one table of metrics. Making them, docs/metrics.md and `ca4 metrics` all walk it; a metric
// that is not in it does not exist. Names are API: people build dashboards and alerts on them.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ca4::ops {

enum class MetricKind { kCounter, kGauge, kHistogram };

// "counter", "gauge", "histogram".
std::string_view name_of(MetricKind kind);

struct MetricRow {
  std::string_view name;
  MetricKind kind;
  std::string_view labels;  // "group,partition"; empty: none
  std::string_view help;    // one line, Markdown; says what each value of a label means
  std::span<const double> buckets = {};  // of a histogram: upper bounds, ascending
};

struct MetricSection {
  std::string_view title;
  std::string_view about;  // which commands have it, and what is worth an alert
  std::span<const MetricRow> rows;
};

// Constant.
std::span<const MetricSection> metric_table();

// The row of that name. Asking for a name that is not in the table is a defect of the caller and
// ends the process with a line that says so.
const MetricRow& metric_row(std::string_view name);

// The whole of docs/metrics.md.
std::string metrics_markdown();

}  // namespace ca4::ops
