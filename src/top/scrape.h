// What a program's /metrics says, in Prometheus' text format 0.0.4.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ca4::top {

using Labels = std::map<std::string, std::string>;

struct Sample {
  Labels labels;
  double value = 0;
};

class Scrape {
 public:
  // Comments and lines that are no samples are left out.
  static Scrape parse(std::string_view text);

  // The samples of that name, in the order of the text; empty where there are none.
  const std::vector<Sample>& of(const std::string& name) const;
  // The sum of those that have all of `having`, NaN left out; none where there are none.
  std::optional<double> sum(const std::string& name, const Labels& having = {}) const;

 private:
  std::map<std::string, std::vector<Sample>> samples_;
};

// Whether `labels` holds all of `having`.
bool has(const Labels& labels, const Labels& having);

}  // namespace ca4::top
