#include "top/scrape.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace ca4::top {
namespace {

// Reads `name="value",...}` from behind the brace and takes it off `rest`.
// False: it is not that.
bool read_labels(std::string_view& rest, Labels& labels) {
  while (!rest.starts_with('}')) {
    const size_t equals = rest.find("=\"");
    if (equals == std::string_view::npos) return false;
    std::string& value = labels[std::string(rest.substr(0, equals))];
    rest.remove_prefix(equals + 2);
    while (!rest.empty() && rest[0] != '"') {
      const bool escaped = rest[0] == '\\' && rest.size() > 1;
      if (escaped) rest.remove_prefix(1);
      value.push_back(escaped && rest[0] == 'n' ? '\n' : rest[0]);
      rest.remove_prefix(1);
    }
    if (rest.empty()) return false;
    rest.remove_prefix(1);
    if (rest.starts_with(',')) rest.remove_prefix(1);
  }
  rest.remove_prefix(1);
  return true;
}

}  // namespace

bool has(const Labels& labels, const Labels& having) {
  return std::ranges::all_of(having, [&](const auto& wanted) {
    const auto found = labels.find(wanted.first);
    return found != labels.end() && found->second == wanted.second;
  });
}

Scrape Scrape::parse(std::string_view text) {
  Scrape out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    const size_t name_end = line.find_first_of("{ ");
    if (name_end == std::string_view::npos) continue;
    const std::string name(line.substr(0, name_end));
    Sample sample;
    const bool labelled = line[name_end] == '{';
    line.remove_prefix(name_end + 1);
    if (labelled && !read_labels(line, sample.labels)) continue;
    const std::string number(line);
    char* behind = nullptr;
    sample.value = std::strtod(number.c_str(), &behind);
    if (behind == number.c_str()) continue;
    out.samples_[name].push_back(std::move(sample));
  }
  return out;
}

const std::vector<Sample>& Scrape::of(const std::string& name) const {
  static const std::vector<Sample> none;
  const auto found = samples_.find(name);
  return found == samples_.end() ? none : found->second;
}

std::optional<double> Scrape::sum(const std::string& name, const Labels& having) const {
  std::optional<double> out;
  for (const Sample& sample : of(name)) {
    if (has(sample.labels, having) && !std::isnan(sample.value)) {
      out = out.value_or(0) + sample.value;
    }
  }
  return out;
}

}  // namespace ca4::top
