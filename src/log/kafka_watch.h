// Whether brokers and topic are there, asked now and then in the background, so that `ready` is
// cheap and the other questions need not wait for brokers that are known to be away. Internal to
// the Kafka log.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/status.h"
#include "log/kafka_client.h"

namespace ca4::log {

// Thread-safe.
class KafkaWatch {
 public:
  // Starts asking. Has the client's events to itself: nobody else polls it. Says once in the
  // program's messages what is wrong with the topic, and, where `tells_outages`, that no broker
  // answers; and when that is over.
  KafkaWatch(OwnedClient client, std::string topic, bool tells_outages);
  ~KafkaWatch();

  // For questions to the brokers.
  KafkaClient& client() const { return *client_; }

  // What the last question brought; kUnavailable before the first answer.
  Status ready() const;

  // Why asking is of no use now: the last question brought no answer. Ok before the first one.
  Status away() const;

  // Somebody else heard of the topic from its brokers just now.
  void heard();

  // Idempotent; what was known stays.
  void stop();

 private:
  void watch();
  void set(const Status& status, bool answered);

  const OwnedClient client_;
  const std::string topic_;
  const bool tells_outages_;
  mutable std::mutex mutex_;
  Status status_;
  bool asked_ = false;
  bool told_ = false;               // what is wrong, and not yet that it is over
  std::atomic<bool> well_ = false;  // asked_, and status_ is Ok
  std::atomic<std::chrono::steady_clock::rep> heard_at_ = 0;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

}  // namespace ca4::log
