// From scrapes of several processes to figures of the pipeline they are. Pure.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "top/scrape.h"

namespace ca4::top {

struct Seen {
  double t_s = 0;  // of a clock that only goes on
  Scrape scrape;
};

// One process, as it was seen.
struct Process {
  std::string name;         // "work", or its address where that is all that is known
  std::string address;      // "http://127.0.0.1:40123"
  std::deque<Seen> window;  // its last answers, oldest first; empty: it never answered
  std::string not_ready;    // what it says keeps it from its work; empty: nothing
  std::string trouble;      // why it does not answer now; empty: it does
  double silent_s = 0;      // since when, with trouble
};

// What the processes say together. `window` of those that do not answer counts for nothing.
class Figures {
 public:
  // `processes` must outlive the figures.
  explicit Figures(std::span<const Process> processes);

  // The sum of the newest values; none where nobody has that metric.
  std::optional<double> now(const std::string& name, const Labels& having = {}) const;
  // The same for what every process of a pipeline tells alike: the largest of each set of labels,
  // then their sum.
  std::optional<double> now_once(const std::string& name, const Labels& having = {}) const;
  // Growth a second of a counter over the window; a process that began anew counts from there.
  // None where nobody has that metric twice.
  std::optional<double> per_second(const std::string& name, const Labels& having = {}) const;
  // The `q` quantile of what a histogram saw in the window, as Prometheus' histogram_quantile
  // has it; none where it saw nothing.
  std::optional<double> quantile(double q, const std::string& name,
                                 const Labels& having = {}) const;
  // The values that a label has, sorted.
  std::vector<std::string> values(const std::string& name, const std::string& label) const;

 private:
  // Those that answer, and of these the oldest and the newest scrape.
  struct Span {
    const Seen* oldest;
    const Seen* newest;
  };
  std::vector<Span> spans_;
};

}  // namespace ca4::top
