// Events as they pass, for people who watch.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "event/value_reader.h"
#include "log/event_log.h"

namespace ca4::tap {

// What a person can read; and more than any terminal shows.
inline constexpr size_t kPerSecondDefault = 10;
inline constexpr size_t kPerSecondMax = 100'000;

// Which events, how many, and how much of each. An empty text lets all pass.
struct TapFilter {
  std::string id = {};        // metadata_id; one that ends in '*': those that begin so
  std::string pipeline = {};  // extra.pipeline
  std::string model = {};     // model_name
  size_t per_second_max = kPerSecondDefault;  // further ones are counted only
  bool full = false;                          // with the numbers of the embedding
};

struct TapLines {
  std::string text;     // a JSON object a line
  size_t count = 0;     // lines
  size_t left_out = 0;  // events that passed the filter and were over the rate or the size
};

// One watcher. It reads the event log beside everybody else and for no group:
// it keeps nothing back, and no stage of the pipeline waits for it. Belongs to
// one thread at a time.
class Tap {
 public:
  // From now on. `log` must outlive the tap. Fails as EventLog::scan.
  static Result<std::unique_ptr<Tap>> open(log::EventLog& log, TapFilter filter);

  // The events since the last call; waits up to `wait_ms` for the first.
  // Returns soon after the first, with at most a few MiB.
  Result<TapLines> next(int64_t wait_ms);

 private:
  Tap(std::unique_ptr<log::Consumer> consumer, TapFilter filter);
  void take(const log::Record& record, TapLines& lines);
  bool admit();

  const std::unique_ptr<log::Consumer> consumer_;
  const TapFilter filter_;
  event::ValueReader reader_;
  double allowance_;  // lines that may be given now
  double refilled_s_;
};

}  // namespace ca4::tap
