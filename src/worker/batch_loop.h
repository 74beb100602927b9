// The part that worker and archiver have in common: poll a log for a group, gather a batch, have it
// handled, commit last; wait out what fails; stop promptly.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/log_limiter.h"
#include "base/status.h"
#include "base/stop_signal.h"
#include "log/event_log.h"

namespace ca4::worker {

class LoopMetrics;

struct BatchLoopOptions {
  std::string group;
  // A batch is full at either limit; one record may overrun the bytes.
  size_t records_max = 512;
  size_t bytes_max = 8U << 20;
  // How long a batch that isn't full is held after its first record; 0: not at all.
  int64_t linger_ms = 0;
  // An idle poll. Short enough for a fresh lag gauge, long enough to cost nothing.
  int64_t poll_wait_ms_max = 500;
  BackoffLimits backoff;
};

// One run a loop. `run` belongs to one thread, `stop` to any.
class BatchLoop {
 public:
  // Does the work of a batch. True: everything of it is durable, commit it. False: shutdown came
  // first; nothing is committed and the batch comes again with the next start.
  using Handle = std::function<bool(std::span<const log::Record>)>;

  // `source` and `metrics` must outlive the loop.
  BatchLoop(log::EventLog& source, BatchLoopOptions options, LoopMetrics& metrics);

  // Until `stop`. A batch that was gathered when stop comes is still handled, each step of it once.
  // When a commit fails the loop pauses, longer each time, goes back to the committed position and
  // reads again: handling must therefore be idempotent.
  void run(const Handle& handle);

  // Ends waits and pauses at once. run() returns after the step in hand.
  void stop();

  // For Handle: tries `attempt` until it is Ok, with growing pauses. The first try happens even
  // when a stop was requested, a second one then does not. False: given up because of a stop.
  // Logs one line when trouble starts and one when it ends; of a step that comes and goes once in
  // half a minute. `step` names it in logs and metrics.
  bool retry(std::string_view step, const std::function<Status()>& attempt);

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;

  bool retry(std::string_view step, const std::function<Status()>& attempt,
             const BackoffLimits& pauses);
  bool open();
  bool tell(std::string_view step, const Status& failure);
  // The next batch, empty after an idle wait or at a stop. No record is in it twice. False: given
  // up because of a stop.
  bool gather(std::vector<log::Record>& batch);
  bool poll(const log::PollLimits& limits, std::vector<log::Record>& records);
  // The same for a batch that has begun, once: a failure is told, and gives none after a pause.
  bool poll_on(const log::PollLimits& limits, std::vector<log::Record>& records);
  Status poll_once(const log::PollLimits& limits, std::vector<log::Record>& records);
  void commit(std::span<const log::Record> batch);
  void measure_lag();
  void note_oldest(std::span<const log::Record> batch);
  void measure_age();

  log::EventLog& source_;
  const BatchLoopOptions options_;
  LoopMetrics& metrics_;
  StopSignal stop_;
  std::mutex mutex_;  // guards consumer_ between stop() and run(), not its use by run()
  std::unique_ptr<log::Consumer> consumer_;
  std::vector<log::Record> held_;  // polled, and the begin of the next batch
  LogLimiter limiter_;
  SteadyTime lag_measured_at_;
  int64_t oldest_us_ = 0;    // when the oldest record in hand was appended; 0: none in hand
  bool poll_fails_ = false;  // said by poll_on, and not taken back yet
  std::optional<Backoff> commit_backoff_;  // while commits fail, one after the other
};

}  // namespace ca4::worker
