// The processor: takes events over HTTP, validates and normalises them, and answers when they are
// durable in the log.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "event/event.h"
#include "http/job_pool.h"
#include "http/router.h"
#include "log/event_log.h"
#include "ops/traffic.h"
#include "processor/version_mark.h"

namespace prometheus {
class Registry;
}

namespace ca4::processor {

struct ProcessorOptions {
  // Floats as text shrink about threefold; fourfold leaves room and still bounds a zip bomb.
  size_t inflated_bytes_max = 64 << 20;
  // Keeps one batch from holding the log for more than ~50 ms.
  size_t batch_events_max = 1024;
  // What /health and the answers tell of the back ends (wire contract).
  std::string kafka_bootstrap = {};
  std::string outbox_file = {};
  std::string version = {};
  std::string processor_id = {};  // empty: its address says which it is
};

// Why an event is not accepted: the outcome of one line of a batch.
struct Problem {
  int status = 0;
  std::string detail;
  std::string field;
};

// Thread-safe. Answers to appends that are waiting when this is destroyed are lost: stop the server
// and close the log first.
class Processor {
 public:
  // Everything given must outlive the processor and the last answer.
  Processor(log::EventLog& log, const Clock& clock, prometheus::Registry& registry,
            ops::Traffic& traffic, ProcessorOptions options);
  ~Processor();
  Processor(const Processor&) = delete;
  Processor& operator=(const Processor&) = delete;

  // Versions given from now on are larger than those that `mark` knows of earlier runs, however the
  // clock stands, and are noted there. Call before the first request, and before
  // continue_versions.
  void remember_versions(std::unique_ptr<VersionMark> mark);

  // The same for what is in the log, by the newest record of each of its partitions; without a mark
  // that knows earlier runs, to be sure, a second more. Call before the first request where that
  // can be had.
  void continue_versions(const std::vector<log::Record>& newest);

  // How many microseconds the next version would be ahead of the clock, 0 for none. Of two
  // processors of one log the one that is ahead would give an older event the larger version.
  int64_t ahead_us() const;

  // POST /metadata and /metadata/batch through `guard`; GET /health, /livez, /readyz and
  // /openapi.json, open to all.
  void add_routes(http::Router& router, const std::function<http::Handler(http::Handler)>& guard);

 private:
  struct Metrics;
  struct Batch;

  // Runs `post` at once, or for what takes long in a thread that no other client waits for.
  http::Handler taking(void (Processor::*post)(http::Request, http::Respond));
  void post_one(http::Request request, http::Respond respond);
  void post_batch(http::Request request, http::Respond respond);
  void append_batch(const std::shared_ptr<Batch>& batch, http::Respond respond);
  bool is_small(http::Request& request) const;
  bool read_body(http::Request& request, bool ndjson, const http::Respond& respond,
                 int64_t began_us);
  // Gives an accepted event its time, version and, where it has none, an id.
  void stamp(event::Event& event);
  // Counts a request and what became of its events.
  void note(int64_t began_us, uint64_t accepted, uint64_t refused, uint64_t failed);
  // Where acknowledged events are: "log" (the embedded one), "kafka" or "outbox".
  std::string_view durable_in(const std::vector<log::Position>& kept) const;
  http::Response health() const;
  http::Response ready() const;

  log::EventLog& log_;
  const Clock& clock_;
  ops::Traffic& traffic_;
  const ProcessorOptions options_;
  const std::string answer_tail_;  // the part of a 200 that is always the same
  std::unique_ptr<Metrics> metrics_;
  std::atomic<uint64_t> version_{0};
  std::unique_ptr<VersionMark> mark_;  // none: the log itself can always be asked
  http::JobPool large_;                // last: its jobs use the others
};

// How far versions have come in a log, by its newest record. Also where that is no event, or a dead
// letter sent on its way again with the version it once had. Appends of one moment reach the log in
// any order: it may have versions that are a little larger.
uint64_t version_of(const log::Record& newest);

// The answer to an append of so many events that failed: 413 where the batch can never fit,
// otherwise 503.
http::Response append_failed(const Status& status, size_t events);

}  // namespace ca4::processor
