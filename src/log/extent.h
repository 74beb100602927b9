// What a log's writer tells the consumers of its process: where the log ends now.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace ca4::log {

// Thread-safe. Shared by the writer and its consumers, whichever lives longer.
class Extent {
 public:
  void set(int64_t begin, int64_t end) {
    {
      std::lock_guard lock(mutex_);
      begin_ = begin;
      end_ = end;
    }
    changed_.notify_all();
  }

  // Returns when the log ends behind `next`, after `timeout`, or, after a `wake`, when `stop` is
  // true.
  void wait_past(int64_t next, std::chrono::milliseconds timeout, const std::atomic<bool>& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, timeout, [&] { return end_ > next || stop; });
  }

  // Makes waiting consumers look at their `stop`, which is set before this call.
  void wake() {
    {
      std::lock_guard lock(mutex_);
    }
    changed_.notify_all();
  }

  int64_t begin() const {
    std::lock_guard lock(mutex_);
    return begin_;
  }
  int64_t end() const {
    std::lock_guard lock(mutex_);
    return end_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int64_t begin_ = 0;
  int64_t end_ = 0;
};

}  // namespace ca4::log
