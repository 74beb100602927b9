// What librdkafka has fetched and nobody has taken yet. Internal to the Kafka log.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <vector>

#include "log/event_log.h"
#include "log/kafka_client.h"

namespace ca4::log {

Record to_record(const rd_kafka_message_t& message);

// A queue of messages with a wait that can be ended from outside. `wake` may be called by any
// thread, the rest by one at a time.
class KafkaQueue {
 public:
  explicit KafkaQueue(rd_kafka_t* handle);
  ~KafkaQueue();
  KafkaQueue(const KafkaQueue&) = delete;
  KafkaQueue& operator=(const KafkaQueue&) = delete;

  rd_kafka_queue_t* handle() const { return queue_.get(); }

  // Moves what is there into `records`, up to the limits, without waiting. A message that `accept`
  // does not take is gone; `refuse` gets what is an error in place of a message.
  using Accept = std::function<bool(const rd_kafka_message_t&)>;
  using Refuse = std::function<void(const rd_kafka_message_t&)>;
  void take(const PollLimits& limits, std::vector<Record>& records, const Accept& accept,
            const Refuse& refuse);

  // Forgets the message that a limit held back. librdkafka itself sees to what is in its queue when
  // partitions go or reading goes on elsewhere.
  void forget_held() { held_.reset(); }
  void forget_held_of(int32_t partition) {
    if (held_ && held_->partition == partition) held_.reset();
  }

  // Waits until there is more since the last `take` that found nothing, `wake` was called or the
  // time is up; then it is false.
  bool wait_until(std::chrono::steady_clock::time_point deadline);
  void wake();

 private:
  Message next();

  const Queue queue_;
  Message held_;
  // Never held while librdkafka is called: it wakes with a lock of its own held.
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

}  // namespace ca4::log
