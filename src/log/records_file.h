// The records file as its one writer sees it: transactions of appended groups, retention,
// checkpoints. No threads, no queue.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "base/sqlite.h"
#include "base/status.h"
#include "log/append_queue.h"
#include "log/embedded_options.h"
#include "log/log_files.h"

namespace ca4::log {

// One thread at a time. Not moveable: SQLite calls back into it.
class RecordsFile {
 public:
  // Creates folder and file where missing; the caller holds the lock.
  static Result<std::unique_ptr<RecordsFile>> open(const LogPaths& paths, int64_t pages_max);

  // Appends all records of the group in one transaction, synced to disk. When it fails nothing of
  // it is kept and the next group gets the offsets that this one would have had.
  Status append(const std::vector<PendingAppend>& group, int64_t now_us);

  // Moves the write-ahead log into the file once it has grown to kCheckpointBytes. Cheap when not.
  Status checkpoint_if_due();

  struct Retention {
    int64_t below;          // only records with smaller offsets may go
    int64_t older_than_us;  // those appended before this go, and ...
    int64_t bytes_to_free;  // ... the oldest, until about so much is free
  };
  // Deletes at most kRetentionRecordsMax of the oldest records, never the newest. Not synced: after
  // power loss they may be there again. A file that is then almost empty gives its space back to
  // the disk. Returns how many went.
  Result<int64_t> retain(const Retention& what);

  // Writes everything into the one file and leaves no write-ahead log behind.
  Status finish();

  int64_t begin() const { return begin_; }  // smallest offset there is; `end` when empty
  int64_t end() const { return end_; }      // the next offset
  // Of the pages in use at the last checkpoint or deletion, and of the records appended since:
  // SQLite compiles the question anew each time, which is too much for every group.
  int64_t bytes_used() const { return bytes_used_; }
  int64_t log_id() const { return log_id_; }

 private:
  explicit RecordsFile(sqlite::Database db) : db_(std::move(db)) {}
  Status prepare(int64_t pages_max);
  Status read_extent();
  Status check_newest_page();
  Status out_of_order(int64_t offset, int64_t before) const;
  Status refresh_size();
  Status shrink_if_due();
  Status insert(const std::vector<PendingAppend>& group, int64_t now_us);
  void overwrite_failed();
  Result<std::optional<int64_t>> last_to_delete(const Retention& what);
  Result<int64_t> delete_up_to(int64_t last);

  sqlite::Database db_;
  struct Statements;
  struct StatementsDelete {
    void operator()(Statements* statements) const;
  };
  std::unique_ptr<Statements, StatementsDelete> sql_;
  int64_t page_bytes_ = 0;
  int64_t log_id_ = 0;
  int64_t begin_ = 0;
  int64_t end_ = 0;
  int64_t bytes_used_ = 0;
  int64_t bytes_free_ = 0;  // in the file, for records to come
  int64_t wal_pages_ = 0;   // set by SQLite's commit hook
  Status sync_failed_;      // commits are not synced any more: nothing is taken
};

}  // namespace ca4::log
