// Looks at the admin ports of processes again and again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "top/figures.h"

namespace ca4::top {

struct WatchOptions {
  // A look at each; what answers slowly is looked at again when it has answered.
  int64_t interval_ms = 1'000;
  // Rates and percentiles are over so much: steady enough to read, soon enough to be of now.
  int64_t window_ms = 10'000;
  // Longer than that nobody waits for a figure.
  int64_t timeout_ms = 2'000;
};

// Belongs to one thread; the looking is done by threads of its own.
class Watch {
 public:
  explicit Watch(WatchOptions options = {});
  // Waits for questions in hand.
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Begins to look at `address` ("http://127.0.0.1:40123"), unless that is watched already. What
  // was once added stays, as that it is gone is what people want to see, until another of its name
  // comes in its place.
  void add(const std::string& name, const std::string& address);

  // All of them as they are now, in the order in which they were added.
  std::vector<Process> processes() const;

 private:
  class Target;
  const WatchOptions options_;
  std::vector<std::unique_ptr<Target>> targets_;
};

}  // namespace ca4::top
