// The committed positions of an embedded log's groups, in a file of their own: a worker process
// that commits never waits for the processor that writes records.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/sqlite.h"
#include "base/status.h"

namespace ca4::log {

struct GroupPosition {
  std::string group;
  std::optional<int64_t> next;  // none: the group is known, but never committed in this log
};

// Thread-safe; several processes may have the same file open.
class GroupOffsets {
 public:
  // Creates the file where missing. `read_only` does not, and then a missing file is kNotFound.
  static Result<std::unique_ptr<GroupOffsets>> open(const std::string& path, bool read_only);

  // Makes the group known, so that retention keeps what it has not read, even before its first
  // commit.
  Status add(const std::string& group);
  // The opposite: retention no longer waits for it. Its position stays for when it is added again.
  Status remove(const std::string& group);

  // None when the group never committed, or only in a log of another id.
  Result<std::optional<int64_t>> get(const std::string& group, int64_t log_id);
  // Forwards or backwards, as said.
  Status set(const std::string& group, int64_t log_id, int64_t next);
  // Groups that have read further in this log than it goes are as if they had never committed in
  // it. Their names, also of those that are not known.
  Result<std::vector<std::string>> forget_beyond(int64_t log_id, int64_t end);
  // Of the groups that are known.
  Result<std::vector<GroupPosition>> all(int64_t log_id);

 private:
  explicit GroupOffsets(sqlite::Database db) : db_(std::move(db)) {}

  std::mutex mutex_;  // over db_
  sqlite::Database db_;
};

}  // namespace ca4::log
