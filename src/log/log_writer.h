// The one thread that writes an embedded log: takes what is queued, commits it as one transaction,
// answers, then does the housekeeping (checkpoint, retention).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.h"
#include "log/append_queue.h"
#include "log/embedded_options.h"
#include "log/extent.h"
#include "log/group_offsets.h"
#include "log/records_file.h"

namespace ca4::log {

// Thread-safe.
class LogWriter {
 public:
  // Takes the lock and starts the thread. `clock` and `offsets` must outlive the writer.
  static Result<std::unique_ptr<LogWriter>> start(const LogPaths& paths,
                                                  const EmbeddedLogOptions& options,
                                                  const Clock& clock, GroupOffsets& offsets,
                                                  std::shared_ptr<Extent> extent);
  ~LogWriter() { close(); }

  // See EventLog.
  void append(std::vector<NewRecord> batch, AppendDone done);
  Status ready() const;
  size_t queue_depth() const { return queue_.depth(); }
  void close();

  int64_t log_id() const { return log_id_; }
  int64_t bytes_used() const { return bytes_used_; }

 private:
  LogWriter(std::string path, FileLock lock, std::unique_ptr<RecordsFile> file,
            const EmbeddedLogOptions& options, const Clock& clock, GroupOffsets& offsets,
            std::shared_ptr<Extent> extent);
  void run();
  void write(std::vector<PendingAppend> group);
  bool retain();
  void publish();
  Status full_status(size_t more_bytes) const;
  void note_failure(const Status& status);

  FileLock lock_;
  std::unique_ptr<RecordsFile> file_;  // the thread's own
  const EmbeddedLogOptions options_;
  const Clock& clock_;
  GroupOffsets& offsets_;
  const std::shared_ptr<Extent> extent_;
  const std::string path_;  // of the records
  const int64_t log_id_;
  AppendQueue queue_;
  std::atomic<int64_t> bytes_used_ = 0;

  mutable std::mutex failure_mutex_;
  Status failure_;  // of the last transaction; ok when it succeeded
  std::chrono::steady_clock::time_point failed_at_;
  std::atomic<bool> failing_ = false;  // failure_ is not ok: spares the lock on every good group

  std::mutex close_mutex_;
  std::thread thread_;
};

}  // namespace ca4::log
