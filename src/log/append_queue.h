// The bounded queue between those who append and the thread that writes.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "log/event_log.h"

namespace ca4::log {

struct PendingAppend {
  std::vector<NewRecord> records;
  AppendDone done;
  size_t bytes = 0;  // keys, values and headers
};

// Bytes that a record, or all of `batch`, counts for in queues and size limits.
size_t record_bytes(const NewRecord& record);
size_t batch_bytes(const std::vector<NewRecord>& batch);

// kTooLarge for a record that is alone larger than a queue of `bytes_max` bytes.
Status fits_queue(const NewRecord& record, size_t bytes_max);

// What a queue holds, or may hold.
struct QueueLoad {
  size_t bytes = 0;
  size_t records = 0;
};

// Whether `more` fits beside what is `used` of `limit`: kTooLarge for what never does, kOverloaded
// for what does not now.
Status check_room(const QueueLoad& limit, const QueueLoad& used, const QueueLoad& more);

struct QueueLimits {
  size_t bytes_max;
  size_t records_max;
  // A group ends with the append that reaches one of these: a transaction larger than this gains
  // nothing and makes everybody in it wait for all of its bytes.
  size_t group_bytes_max;
  // See `take`.
  std::chrono::microseconds linger;
};

// Thread-safe; one thread takes.
class AppendQueue {
 public:
  explicit AppendQueue(const QueueLimits& limits) : limits_(limits) {}

  // kTooLarge for what can never fit, kOverloaded when it does not fit now, kCancelled once closed;
  // `append` is left as it was then.
  Status push(PendingAppend& append);

  // The next group, in order of arrival; waits until there is one or `timeout` has passed (then it
  // is empty). None when the queue is closed and drained. While the load is concurrent it waits up
  // to the linger until as many appends are there as the last group had: their senders have just
  // been answered and are about to come again. A lone append never waits.
  std::optional<std::vector<PendingAppend>> take(std::chrono::milliseconds timeout);

  // Gives back the room of a group that was written or refused.
  void release(const std::vector<PendingAppend>& group);

  // Appends and bytes that are waiting or being written.
  size_t depth() const { return depth_.load(std::memory_order_relaxed); }
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // Refuses what comes from now on.
  void close();

 private:
  std::vector<PendingAppend> take_group();

  const QueueLimits limits_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PendingAppend> waiting_;
  size_t waiting_for_ = 1;  // appends that the taker wants to see before it is woken
  size_t last_group_ = 0;   // appends in the last group
  size_t records_ = 0;      // waiting or being written
  bool closed_ = false;
  std::atomic<size_t> depth_ = 0;
  std::atomic<size_t> bytes_ = 0;
};

}  // namespace ca4::log
