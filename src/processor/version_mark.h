// How far versions were given, kept on this disk for a start at which the log can't be asked.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "base/log_limiter.h"
#include "base/status.h"

namespace ca4::processor {

// Thread-safe. A file has one of these at a time.
class VersionMark {
 public:
  // Reads `file`, or makes it and its folder. What can't be read is kIo with the path; what was
  // damaged is as good as nothing, and a warning says so.
  static Result<std::unique_ptr<VersionMark>> open(const std::string& file);
  // Marks the last version that was given, and no longer ahead of it.
  ~VersionMark();
  VersionMark(const VersionMark&) = delete;
  VersionMark& operator=(const VersionMark&) = delete;

  // No version that earlier runs gave is larger, but for those of the moment that a write to the
  // file takes after a rest or a leap of the clock. 0: nothing is known.
  uint64_t highest() const { return highest_; }

  // Call with each version that is given. Costs a comparison, and once in a second of versions
  // wakes a thread, which marks two seconds ahead and syncs: while events come, the mark is always
  // ahead of them. A disk that refuses is tried again each second; nobody waits for it.
  void given(uint64_t version);

 private:
  VersionMark(std::string path, int fd, uint64_t highest, int slot);
  void run(const std::stop_token& stop);
  Status write(uint64_t mark);
  void settle();

  const std::string path_;
  const int fd_;
  const uint64_t highest_;
  int slot_;  // the one to write next
  LogLimiter warnings_;
  std::atomic<uint64_t> last_{0};  // given in this run
  std::atomic<uint64_t> renew_at_{0};
  std::mutex mutex_;
  std::condition_variable_any changed_;
  uint64_t wanted_ = 0;  // guarded by mutex_; 0: nothing to write
  std::jthread thread_;  // last: it uses the others
};

}  // namespace ca4::processor
