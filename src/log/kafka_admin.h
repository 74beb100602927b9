// Questions to the brokers that need no consumer: each waits, no longer than its deadline. Internal
// to the Kafka log. Thread-safe, as the client is.
#pragma once

#include <librdkafka/rdkafka.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "log/event_log.h"
#include "log/kafka_client.h"

namespace ca4::log {

class Deadline {
 public:
  explicit Deadline(int64_t ms)
      : at_(std::chrono::steady_clock::now() + std::chrono::milliseconds(ms)) {}
  // At least 1: what librdkafka takes for "do not wait" would not even send.
  int left_ms() const;
  bool over() const { return std::chrono::steady_clock::now() >= at_; }

 private:
  std::chrono::steady_clock::time_point at_;
};

struct MetadataCloser {
  void operator()(const rd_kafka_metadata_t* metadata) const {
    rd_kafka_metadata_destroy(metadata);
  }
};
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, MetadataCloser>;

// What the brokers say of one topic and of themselves. Ok also when they know no such topic:
// `topics[0].err` says so.
Result<Metadata> topic_metadata(KafkaClient& client, const std::string& topic, Deadline deadline);

// Brokers and partitions of the topic; kNotFound where there is no such topic.
Result<Description> describe_topic(KafkaClient& client, const std::string& topic,
                                   Deadline deadline);

// The topic's partitions; kUnavailable also where there is no such topic.
Result<std::vector<int32_t>> partitions_of(KafkaClient& client, const std::string& topic,
                                           Deadline deadline);

// By partition, the oldest (RD_KAFKA_OFFSET_BEGINNING) or the next (RD_KAFKA_OFFSET_END) offset.
Result<std::map<int32_t, int64_t>> offsets_at(KafkaClient& client, const std::string& topic,
                                              const std::vector<int32_t>& partitions, int64_t where,
                                              Deadline deadline);

// By partition, what the group of `member` has committed; partitions without a commit are left out.
// `member`: a consumer with that group.id, which need not have joined.
Result<std::map<int32_t, int64_t>> committed_by(KafkaClient& member, const std::string& topic,
                                                const std::vector<int32_t>& partitions,
                                                Deadline deadline);

struct AdminOptionsCloser {
  void operator()(rd_kafka_AdminOptions_t* options) const {
    rd_kafka_AdminOptions_destroy(options);
  }
};
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, AdminOptionsCloser>;

// Options for one admin operation that is over by the deadline.
AdminOptions admin_options(KafkaClient& client, rd_kafka_admin_op_t operation, Deadline deadline);

// The outcome that an admin operation puts into `queue`; a failed status for an operation that
// failed as a whole.
Result<Event> admin_outcome(rd_kafka_queue_t* queue, const std::string& topic, Deadline deadline);

}  // namespace ca4::log
