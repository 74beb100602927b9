#include "top/figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <set>

namespace ca4::top {
namespace {

// How much a counter grew; one that shrank began anew with its process.
double growth(double before, double after) {
  return after >= before ? after - before : after;
}

double value_before(const Seen& oldest, const std::string& name, const Labels& labels) {
  for (const Sample& sample : oldest.scrape.of(name)) {
    if (sample.labels == labels) return sample.value;
  }
  return 0;
}

}  // namespace

Figures::Figures(std::span<const Process> processes) {
  for (const Process& process : processes) {
    if (process.window.empty() || !process.trouble.empty()) continue;
    spans_.push_back({&process.window.front(), &process.window.back()});
  }
}

std::optional<double> Figures::now(const std::string& name, const Labels& having) const {
  std::optional<double> out;
  for (const Span& span : spans_) {
    if (const auto sum = span.newest->scrape.sum(name, having)) out = out.value_or(0) + *sum;
  }
  return out;
}

std::optional<double> Figures::now_once(const std::string& name, const Labels& having) const {
  std::map<Labels, double> largest;
  for (const Span& span : spans_) {
    for (const Sample& sample : span.newest->scrape.of(name)) {
      if (!has(sample.labels, having) || std::isnan(sample.value)) continue;
      const auto [entry, first] = largest.try_emplace(sample.labels, sample.value);
      if (!first) entry->second = std::max(entry->second, sample.value);
    }
  }
  if (largest.empty()) return std::nullopt;
  double out = 0;
  for (const auto& [labels, value] : largest) out += value;
  return out;
}

std::optional<double> Figures::per_second(const std::string& name, const Labels& having) const {
  std::optional<double> out;
  for (const Span& span : spans_) {
    const double seconds = span.newest->t_s - span.oldest->t_s;
    if (seconds <= 0) continue;
    for (const Sample& sample : span.newest->scrape.of(name)) {
      if (!has(sample.labels, having)) continue;
      const double before = value_before(*span.oldest, name, sample.labels);
      out = out.value_or(0) + growth(before, sample.value) / seconds;
    }
  }
  return out;
}

std::optional<double> Figures::quantile(double q, const std::string& name,
                                        const Labels& having) const {
  const std::string bucket = name + "_bucket";
  std::map<double, double> counts;  // upper bound: observations up to it
  for (const Span& span : spans_) {
    for (const Sample& sample : span.newest->scrape.of(bucket)) {
      const auto bound = sample.labels.find("le");
      if (bound == sample.labels.end() || !has(sample.labels, having)) continue;
      const double before =
          span.oldest == span.newest ? 0 : value_before(*span.oldest, bucket, sample.labels);
      counts[std::strtod(bound->second.c_str(), nullptr)] += growth(before, sample.value);
    }
  }
  if (counts.empty() || counts.rbegin()->second <= 0) return std::nullopt;
  const double rank = q * counts.rbegin()->second;
  double lower = 0;
  double below = 0;
  for (const auto& [upper, count] : counts) {
    if (count >= rank && count > below) {
      // Above the last bound nothing is known but that.
      if (std::isinf(upper)) return lower;
      return lower + (upper - lower) * (rank - below) / (count - below);
    }
    lower = upper;
    below = count;
  }
  return lower;
}

std::vector<std::string> Figures::values(const std::string& name, const std::string& label) const {
  std::set<std::string> out;
  for (const Span& span : spans_) {
    for (const Sample& sample : span.newest->scrape.of(name)) {
      const auto found = sample.labels.find(label);
      if (found != sample.labels.end()) out.insert(found->second);
    }
  }
  return {out.begin(), out.end()};
}

}  // namespace ca4::top
