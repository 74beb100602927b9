// A queue with a limit between threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace ca4::producer {

// Thread-safe.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t items_max) : items_max_(items_max) {}

  // Waits while the queue is full. False, and `item` is dropped, when it is closed.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || items_.size() < items_max_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }

  // Waits for `count` items, or for the queue to be closed. Fewer only when no more will come;
  // none: the queue is closed and empty. `count` is at most items_max.
  std::vector<T> pop(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || items_.size() >= count; });
    std::vector<T> out;
    while (!items_.empty() && out.size() < count) {
      out.push_back(std::move(items_.front()));
      items_.pop_front();
    }
    changed_.notify_all();
    return out;
  }

  // No more is taken in; what is inside can still be popped, unless `drop`.
  void close(bool drop = false) {
    const std::scoped_lock lock(mutex_);
    closed_ = true;
    if (drop) items_.clear();
    changed_.notify_all();
  }

 private:
  const size_t items_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace ca4::producer
