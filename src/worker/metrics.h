// What the worker and the archiver count. All functions are thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store/document_store.h"

namespace prometheus {
class Registry;
}

namespace ca4::worker {

// Of one loop that reads a log for a consumer group; `group` is a label of each metric.
class LoopMetrics {
 public:
  // `registry` must outlive this object. Several loops may share one registry.
  LoopMetrics(prometheus::Registry& registry, const std::string& group);
  ~LoopMetrics();
  LoopMetrics(const LoopMetrics&) = delete;
  LoopMetrics& operator=(const LoopMetrics&) = delete;

  // A batch was handled and committed: ca4_batch_records, ca4_batch_process_seconds.
  void batch(size_t records, double seconds);
  // A step failed and will be tried again: ca4_retries_total{step}. `step` is one of a fixed few.
  void retry(std::string_view step);
  // ca4_lag_records: what the group has not committed yet, over all partitions.
  void lag(int64_t records);

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
  // ca4_dead_letters_total{stage="decode|transform|store"}, once durable.
  void dead_letter(std::string_view stage);
  // ca4_end_to_end_seconds: from acceptance until it could be found in the store.
  void end_to_end(double seconds);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// ca4_archive_objects_total, ca4_archive_bytes_total, ca4_archive_skipped_records_total.
class ArchiveMetrics {
 public:
  explicit ArchiveMetrics(prometheus::Registry& registry);
  ~ArchiveMetrics();
  ArchiveMetrics(const ArchiveMetrics&) = delete;
  ArchiveMetrics& operator=(const ArchiveMetrics&) = delete;

  void object(size_t bytes);
  // Records that can't be transformed: the worker dead-letters them.
  void skipped(size_t records);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::worker
