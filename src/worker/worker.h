// The worker: takes accepted events from the log into the document store, and what can never be
// stored into the dead letters. Commits last, so whatever kills it loses nothing; upserts are
// idempotent, so whatever is read again changes nothing.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "log/event_log.h"
#include "store/document_store.h"
#include "worker/batch_loop.h"
#include "worker/metrics.h"
#include "worker/transform.h"

namespace ca4::worker {

// The wire contract's consumer group.
inline constexpr const char* kWorkerGroup = "ca4-worker";

struct WorkerOptions {
  size_t batch_records_max = 512;     // where SQLite's cost a row stops falling
  size_t batch_bytes_max = 8U << 20;  // 512 records of 2048 floats are 5 MiB
  int64_t poll_wait_ms_max = 500;     // see BatchLoopOptions
  BackoffLimits backoff;
  // How long an append of dead letters may go unanswered before it counts as failed; also what a
  // stop waits for it. Far above any fsync, inside the 30 s Kubernetes gives before SIGKILL.
  int64_t dead_letter_wait_ms_max = 10'000;
};

// One consumer of its group: run one worker a process. `run` belongs to one thread, `stop` to any.
class Worker {
 public:
  // Everything given must outlive the worker.
  Worker(log::EventLog& source, store::DocumentStore& store, log::EventLog& dead_letters,
         const Clock& clock, prometheus::Registry& registry, WorkerOptions options = {});

  // Works until `stop`. Never gives up: a log, store or dead-letter log that fails is tried again
  // with growing pauses, the batch stays in memory meanwhile (bounded by the options) and its
  // offsets uncommitted.
  void run();

  // Ends pauses and idle waits at once. run() returns after the batch in hand, each step of which
  // is then tried once; if one fails the batch is left uncommitted for the next start.
  void stop();

 private:
  struct Work;
  struct Letter;

  bool handle(std::span<const log::Record> batch);
  // Upserts until every document is stored or among the letters. False: stopped.
  bool store_documents(Work& work);
  Status upsert_once(Work& work);
  // What the store says of `work.pending`, in order and complete: what is final is taken out of it.
  // Fails when some are to be tried again.
  Status settle(Work& work, std::span<const store::UpsertResult> results);
  bool append_letters(Work& work);
  // Leaves out those that are in the dead letters already, and notes those that get there, also
  // when another fails: so none is there twice if this is tried again.
  Status append_all(std::vector<Letter>& letters);
  Status append_once(std::span<const Letter> letters);
  void forget_letters_before(std::span<const log::Record> batch);

  log::EventLog& source_;
  store::DocumentStore& store_;
  log::EventLog& dead_letters_;
  const Clock& clock_;
  const WorkerOptions options_;
  LoopMetrics loop_metrics_;
  DocumentMetrics document_metrics_;
  // Records that are in the dead letters already, but may come again because no commit was seen. By
  // their time too: a topic that was made anew gives its offsets out again.
  std::set<std::pair<log::Position, int64_t>> lettered_;
  BatchLoop loop_;
};

}  // namespace ca4::worker
