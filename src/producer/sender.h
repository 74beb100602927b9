// Sends events to the processor: several requests at once, tried again as long as that can help.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"
#include "producer/bounded_queue.h"
#include "producer/holdup.h"
#include "producer/retry.h"
#include "producer/transport.h"

namespace ca4::producer {

struct Parcel {
  std::string id;
  std::string key;  // of the journal
  std::string path;
  std::string payload;  // one line of JSON
};

struct SenderOptions {
  size_t in_flight_max = 4;  // requests; as many again wait behind them
  // One request an event (POST /metadata) instead of a batch (POST /metadata/batch).
  bool one_by_one = false;
  // A request's body; a quarter of what a processor takes by default. Longer batches are cut.
  size_t body_bytes_max = 4 << 20;
  RetryLimits retry;
  // Told what a Holdup says, a line without its end; from several threads. Must not block. Null:
  // nobody is told.
  std::function<void(const std::string& line)> notify;
};

// What became of a parcel: ok when the processor has acknowledged it, else why it refuses it for
// good. Called from several threads at once. A failure it returns ends the whole sending.
using Settled = std::function<Status(const Parcel& parcel, const Status& outcome)>;

class Sender {
 public:
  // Starts in_flight_max threads. After a stop is requested what was submitted is still sent, but
  // nothing is tried a second time. `transport` must outlive the sender.
  Sender(Transport& transport, const SenderOptions& options, Settled settled, std::stop_token stop);
  // As finish().
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Hands over a batch; waits while enough others are on their way. False when sending has failed
  // for good. Any thread.
  bool submit(std::vector<Parcel> batch);

  // Waits until everything submitted is settled or given up. Ok, or why sending ended early: the
  // retry budget was used up (kUnavailable), a stop was requested (kCancelled), the processor
  // refuses what no retry can change (kInvalidArgument).
  Status finish();

 private:
  void work();
  // Sends until every parcel is settled; a failure is for good.
  Status deliver(std::vector<Parcel> batch);
  // One request; takes out of `batch` what it settled. kUnavailable: what is left may be tried
  // again, `retry_after_ms` is set when the server named a pause. kTooLarge: cut the batch.
  Status attempt(std::vector<Parcel>& batch, std::optional<int64_t>& retry_after_ms);
  Status settle_each(std::vector<Parcel>& batch, const std::vector<Status>& verdicts);
  Status pause_before_retry(RetryPolicy& policy, std::optional<int64_t> retry_after_ms,
                            int64_t began_ms, const Status& why);
  Status given_up(int64_t tried_ms, std::optional<int64_t> retry_after_ms, const Status& why) const;
  void note_passed();
  void fail(const Status& status);

  Transport& transport_;
  const SenderOptions options_;
  const Settled settled_;
  BoundedQueue<std::vector<Parcel>> queue_;
  std::stop_source no_more_retries_;
  std::stop_callback<std::function<void()>> on_stop_;
  std::mutex mutex_;  // failure_, holdup_
  std::condition_variable_any wake_;
  Status failure_;
  Holdup holdup_;
  std::vector<std::jthread> threads_;
};

}  // namespace ca4::producer
