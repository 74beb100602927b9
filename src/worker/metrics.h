// What the worker and the archiver count. Functions are thread-safe unless they say otherwise.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "log/event_log.h"
#include "store/document_store.h"

namespace prometheus {
class Registry;
}

namespace ca4::worker {

// ca4_lag_records{group,partition}. Not thread-safe.
class LagGauges {
 public:
  // `registry` must outlive this object.
  LagGauges(prometheus::Registry& registry, const std::string& group);
  ~LagGauges();
  LagGauges(const LagGauges&) = delete;
  LagGauges& operator=(const LagGauges&) = delete;

  // What EventLog::lag says of the group; a failure makes NaN of every partition known so far.
  void set(const Result<std::vector<log::PartitionLag>>& rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Of one loop that reads a log for a consumer group; `group` is a label of each metric.
class LoopMetrics {
 public:
  // `registry` must outlive this object. Several loops may share one registry.
  LoopMetrics(prometheus::Registry& registry, const std::string& group);
  ~LoopMetrics();
  LoopMetrics(const LoopMetrics&) = delete;
  LoopMetrics& operator=(const LoopMetrics&) = delete;

  // A batch was handled and committed: ca4_batch_records, ca4_batch_bytes,
  // ca4_batch_process_seconds.
  void batch(size_t records, size_t bytes, double seconds);
  // ca4_batch_age_seconds: of the oldest record in hand; 0 with none.
  void age(double seconds);
  // A step failed and will be tried again: ca4_retries_total{step}. `step` is one of a fixed few.
  void retry(std::string_view step);
  // ca4_step_failing{step}. Thread of the loop only, as `lag`.
  void failing(std::string_view step, bool fails);
  void lag(const std::vector<log::PartitionLag>& rows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What became of the events.
class DocumentMetrics {
 public:
  explicit DocumentMetrics(prometheus::Registry& registry);
  ~DocumentMetrics();
  DocumentMetrics(const DocumentMetrics&) = delete;
  DocumentMetrics& operator=(const DocumentMetrics&) = delete;

  // ca4_documents_total{result="inserted|updated|stale|unchanged"}; other outcomes are not final
  // or are counted as dead letters.
  void stored(store::Outcome outcome);
  // ca4_dead_letters_total{stage="decode|transform|store",reason}, once durable. See Failure.
  void dead_letter(std::string_view stage, std::string_view cause);
  // ca4_end_to_end_seconds: from acceptance until it could be found in the store.
  void end_to_end(double seconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// ca4_archive_objects_total, ca4_archive_bytes_total, ca4_archive_put_seconds{result},
// ca4_archive_skipped_records_total.
class ArchiveMetrics {
 public:
  explicit ArchiveMetrics(prometheus::Registry& registry);
  ~ArchiveMetrics();
  ArchiveMetrics(const ArchiveMetrics&) = delete;
  ArchiveMetrics& operator=(const ArchiveMetrics&) = delete;

  void object(size_t bytes);
  // One try to put an object.
  void put(bool done, double seconds);
  // Records that can't be transformed: the worker dead-letters them.
  void skipped(size_t records);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::worker
