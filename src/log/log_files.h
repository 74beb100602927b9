// The files of an embedded log: their names, their tables, and the lock that keeps it to one
// writer. DIR/<topic>.db holds the records, DIR/<topic>.offsets.db the groups' positions,
// DIR/<topic>.lock is locked by the writer while it lives. A log whose FILE was named has
// FILE-offsets and FILE-lock, as SQLite has FILE-wal.
#pragma once

#include <cstdint>
#include <string>

#include "base/sqlite.h"
#include "base/status.h"

namespace ca4::log {

struct LogPaths {
  std::string dir;
  std::string records;
  std::string offsets;
  std::string lock;
};

// kInvalidArgument when `topic` can't be a file name: letters, digits, '.', '_' and '-', not
// beginning with a dot, at most 200 bytes (Kafka's own rule is 249; suffixes need room).
Result<LogPaths> log_paths(const std::string& dir, const std::string& topic);
LogPaths log_paths_of_file(const std::string& file);

// An advisory whole-file lock (flock), released when the process ends, however it ends.
class FileLock {
 public:
  // kUnavailable, naming the path, when another process or another log of this process holds it.
  static Result<FileLock> acquire(const std::string& path);
  // Whether a log has it now. Makes no file.
  static bool is_held(const std::string& path);
  FileLock(FileLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// Makes an empty records file where there is none (a file of no bytes is none). It appears complete
// or not at all, so a reader never meets one without its tables. Call with the lock held.
Status create_records_file(const LogPaths& paths);

// The number a log drew when it was created: tells a committed offset of this log from one of a
// log that lay here before. kNotFound when there is no such file.
Result<int64_t> read_log_id(sqlite::Database& records);

}  // namespace ca4::log
