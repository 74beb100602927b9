// Appends to a Kafka topic. Internal to the Kafka log.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "log/append_queue.h"
#include "log/event_log.h"
#include "log/kafka_client.h"
#include "log/kafka_options.h"
#include "log/kafka_watch.h"

namespace ca4::log {

// Thread-safe. Idempotent and acks=all: within a partition records stand in the order of their
// appends, each once, whatever is sent again underneath. A topic whose max.message.bytes is lower
// than what would go together in a request is found out by its refusals: then less goes together,
// and what was on its way is sent again, which may make a second copy of some of it.
class KafkaProducer {
 public:
  // Does not wait for brokers. `watch` hears of each batch that they acknowledged, and says what is
  // known where they did not.
  static Result<std::unique_ptr<KafkaProducer>> start(const KafkaOptions& options,
                                                      std::shared_ptr<KafkaWatch> watch);
  ~KafkaProducer();

  // See EventLog::append; no record is over options.record_bytes_max.
  void append(std::vector<NewRecord> batch, AppendDone done);

  // Batches that have no answer yet.
  size_t depth() const { return depth_.load(std::memory_order_relaxed); }

  // Refuses what comes from now on, and waits for the answers to the rest: each comes within the
  // delivery timeout. Idempotent.
  void close();

 private:
  struct Batch;
  struct Slot;

  KafkaProducer(const KafkaOptions& options, std::shared_ptr<KafkaWatch> watch);

  // A connection is an instance of librdkafka and its handle of the topic.
  struct Connection;

  Result<std::unique_ptr<Connection>> connect();
  // Takes room in the queue, or says why there is none.
  Status admit(const Batch& batch);
  // Hands the batch's records over in one go; the status is that of the first refused one.
  Status send(Batch& batch);
  void delivered(const rd_kafka_message_t& message);
  Status why(rd_kafka_resp_err_t err, KafkaClient& client) const;
  bool goes_again(rd_kafka_resp_err_t err, const Slot& slot) const;
  void answered(Batch* batch);
  void serve();
  void replace();
  // What is there for the next connection. Needs the lock.
  std::vector<Slot*> take_unsent();

  const KafkaOptions options_;
  const std::shared_ptr<KafkaWatch> watch_;
  // Guards connection_, held_, handed_over_, the order of what is handed over, and that nothing is
  // once closed.
  std::mutex mutex_;
  std::unique_ptr<Connection> connection_;  // none while it is replaced
  std::vector<Batch*> held_;                // which came meanwhile
  uint64_t handed_over_ = 0;                // batches
  std::atomic<bool> closed_ = false;
  std::atomic<bool> broken_ = false;  // librdkafka says that this instance can do no more
  std::atomic<size_t> depth_ = 0;
  std::mutex room_mutex_;
  QueueLoad queued_;  // guarded by room_mutex_
  // By thread_ only, which takes delivery reports.
  Connection* served_ = nullptr;
  size_t together_bytes_max_;  // what the connection puts into one request for a partition
  std::vector<Slot*> again_;   // what the next one gets, as the topic took no request of that size
  std::thread thread_;
};

}  // namespace ca4::log
