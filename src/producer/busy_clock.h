// How long at least one of several threads was at work.
#pragma once

#include <chrono>
#include <mutex>

namespace ca4::producer {

// Thread-safe.
class BusyClock {
 public:
  // Counts as at work while it lives.
  class Work {
   public:
    explicit Work(BusyClock& clock) : clock_(clock) { clock_.begin(); }
    ~Work() { clock_.end(); }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;

   private:
    BusyClock& clock_;
  };

  // Of finished work; time in which several were at work counts once.
  double seconds() const {
    const std::scoped_lock lock(mutex_);
    return std::chrono::duration<double>(total_).count();
  }

 private:
  using Steady = std::chrono::steady_clock;
  void begin() {
    const std::scoped_lock lock(mutex_);
    if (workers_++ == 0) began_ = Steady::now();
  }
  void end() {
    const std::scoped_lock lock(mutex_);
    if (--workers_ == 0) total_ += Steady::now() - began_;
  }

  mutable std::mutex mutex_;
  size_t workers_ = 0;
  Steady::time_point began_;
  Steady::duration total_{0};
};

}  // namespace ca4::producer
