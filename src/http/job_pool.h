// A few threads and a short queue, for what must not run on an event loop.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/server.h"

namespace ca4::http {

class JobPool {
 public:
  JobPool(size_t threads, size_t queue_max);
  // Waits for jobs that run; those that still wait are destroyed without having run.
  ~JobPool();
  JobPool(const JobPool&) = delete;
  JobPool& operator=(const JobPool&) = delete;

  // False when `queue_max` jobs wait already: `job` was not taken. Thread-safe.
  [[nodiscard]] bool try_run(std::function<void()> job);

 private:
  void work();

  const size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;  // guarded by mutex_
  bool stopping_ = false;                    // guarded by mutex_
  std::vector<std::thread> threads_;
};

// A handler whose answers are made in `pool`, which must outlive it; while its queue is full they
// are 503 with the detail `busy`.
Handler pooled(JobPool& pool, std::string busy, std::function<Response(const Request&)> answer);

}  // namespace ca4::http
