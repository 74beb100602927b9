// One instance of librdkafka: its configuration, its callbacks, its life. Internal to the Kafka
// log.
#pragma once

#include <librdkafka/rdkafka.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log_limiter.h"
#include "base/status.h"
#include "log/kafka_options.h"

namespace ca4::log {

using KafkaProperties = std::vector<std::pair<std::string, std::string>>;

// What its owner wants to know. Called by librdkafka in the thread that polls this client.
struct KafkaHooks {
  std::function<void(const rd_kafka_message_t&)> delivered;
  std::function<void(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*)> rebalance;
  std::function<void(const std::string&)> fatal;  // this instance is of no use any more
};

class KafkaClient;

// Ends an instance, once nothing of it is in use any more, and waits for that no longer than 3 s.
// librdkafka 2.0.2 never comes to the end of one whose topic was deleted: that is abandoned.
struct ClientCloser {
  void operator()(KafkaClient* client) const;
};
using OwnedClient = std::unique_ptr<KafkaClient, ClientCloser>;

class KafkaClient {
 public:
  // `properties` are those of its role, on top of what all share. kConfig says what librdkafka does
  // not take, kUnavailable that the machine has no thread for it now; brokers that can't be reached
  // are no error.
  static Result<OwnedClient> create(rd_kafka_type_t type, const KafkaOptions& options,
                                    const KafkaProperties& properties, KafkaHooks hooks);
  KafkaClient(const KafkaClient&) = delete;
  KafkaClient& operator=(const KafkaClient&) = delete;

  // Leaves an instance to itself that would keep whoever ends it waiting: it and its threads stay
  // until the process ends, and say nothing more.
  static void abandon(OwnedClient client);

  rd_kafka_t* handle() const { return handle_; }

  // What connections died of in the last half minute; empty when of nothing. Thread-safe.
  std::string trouble() const;

  // What an operation's error means here: where no broker answered although there is one, because
  // it does not let this client in, or none was asked because there is nothing to log in with, that
  // is what is said. Thread-safe.
  Status why(rd_kafka_resp_err_t err, const std::string& topic) const;

  // Whether a broker refused this client in the last half minute.
  bool refused() const;

  // Whether there was a moment at which every broker had been tried, and none took the connection.
  bool all_failed() const;

 private:
  friend struct ClientCloser;

  KafkaClient(const KafkaOptions& options, KafkaHooks hooks)
      : options_(options), hooks_(std::move(hooks)) {}
  ~KafkaClient() = default;

  Status configure(rd_kafka_conf_t* conf, const KafkaProperties& properties);
  void set_callbacks(rd_kafka_conf_t* conf);
  void failed(rd_kafka_resp_err_t err, const std::string& reason);
  void note_trouble(rd_kafka_resp_err_t err, const std::string& reason);
  void log(int level, const std::string& facility, const char* text);
  // After a refusal, unless that was done just now.
  void replace_token();
  void refresh_token(rd_kafka_t* handle);
  Status no_token() const;

  const KafkaOptions options_;
  const KafkaHooks hooks_;
  LogLimiter limiter_;
  mutable std::mutex mutex_;
  std::string trouble_;
  rd_kafka_resp_err_t trouble_err_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  bool advised_ = false;  // trouble_ says what to set
  std::chrono::steady_clock::time_point trouble_at_;
  std::optional<std::chrono::steady_clock::time_point> token_replaced_at_;
  std::string token_trouble_;  // why there is no token to log in with
  bool all_failed_ = false;
  std::atomic<bool> abandoned_ = false;
  rd_kafka_t* handle_ = nullptr;
};

// A topic's handle for as long as it lives.
struct TopicCloser {
  void operator()(rd_kafka_topic_t* topic) const { rd_kafka_topic_destroy(topic); }
};
using TopicHandle = std::unique_ptr<rd_kafka_topic_t, TopicCloser>;

struct PartitionsCloser {
  void operator()(rd_kafka_topic_partition_list_t* list) const {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using Partitions = std::unique_ptr<rd_kafka_topic_partition_list_t, PartitionsCloser>;

struct QueueCloser {
  void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
};
using Queue = std::unique_ptr<rd_kafka_queue_t, QueueCloser>;

struct EventCloser {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
using Event = std::unique_ptr<rd_kafka_event_t, EventCloser>;

struct MessageCloser {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using Message = std::unique_ptr<rd_kafka_message_t, MessageCloser>;

}  // namespace ca4::log
