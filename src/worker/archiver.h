// The archiver: copies accepted events into the archive, in large objects, with a consumer group of
// its own. A slow or absent archive therefore never delays the database, and the archive need not
// be paid for small objects because the database wants events at once.
#pragma once

#include <cstdint>
#include <span>

#include "archive/archive.h"
#include "archive/batch.h"
#include "base/clock.h"
#include "log/event_log.h"
#include "worker/batch_loop.h"
#include "worker/metrics.h"

namespace ca4::worker {

inline constexpr const char* kArchiverGroup = "ca4-archiver";

struct ArchiverOptions {
  size_t records_max = 4'096;      // 32 MiB of 2048 floats, see bytes_max
  size_t bytes_max = 32U << 20;    // held in memory about three times while objects are made
  int64_t linger_ms = 10'000;      // what a lost disk can take that is not in a second place yet
  int64_t poll_wait_ms_max = 500;  // see BatchLoopOptions
  BackoffLimits backoff;
};

// One consumer of its group: run one archiver a process. `run` belongs to one thread, `stop` to
// any.
class Archiver {
 public:
  // Everything given must outlive the archiver.
  Archiver(log::EventLog& source, archive::Archive& archive, const Clock& clock,
           prometheus::Registry& registry, ArchiverOptions options = {});

  // Works until `stop`. An archive that is not ready is told at once. Offsets are committed when
  // all objects of a batch are durable. An object's key names the records in it, so a batch that is
  // read again overwrites itself or, cut elsewhere, stands beside what a crash left uncommitted. An
  // archive that fails is tried again with growing pauses, for ever. Records that can't be
  // transformed are skipped: the worker dead-letters them.
  void run();

  // Ends pauses and waits at once; what is held is written, each object tried once, and committed.
  // If one fails nothing of the batch is committed: it is read again with the next start.
  void stop();

 private:
  bool handle(std::span<const log::Record> batch);
  Status put_once(const archive::Object& object);

  log::EventLog& source_;
  archive::Archive& archive_;
  const Clock& clock_;
  LoopMetrics loop_metrics_;
  ArchiveMetrics archive_metrics_;
  BatchLoop loop_;
};

}  // namespace ca4::worker
