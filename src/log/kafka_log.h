// The event log on Apache Kafka: one topic, as many partitions as it has there. A record's key
// chooses its partition, so that all of one key stay in order. Appends are acknowledged when all
// in-sync replicas have them (acks=all): what that survives is for the topic to say, with its
// replication factor and min.insync.replicas. Kafka answers before a disk has synced; one broker
// alone survives a kill, not the loss of power.
//
// Brokers that can't be reached are no error here: everything tries again underneath, and goes on
// within 10 s of their being back.
//
// Where this log differs from the embedded one:
//   - A batch that failed may be kept, wholly or in part: its records went to several
//     partitions, or a broker's answer got lost. Appending it again is then a second copy with
//     the same version, which the stores take for what it is.
//   - A position may have the offset -1: the record is durable, and the broker, asked twice, does
//     not tell where.
//   - Several consumers of a group share the partitions, also from several processes.
//   - Nothing is limited by size here but the queue to the brokers; retention is the topic's.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "log/event_log.h"
#include "log/kafka_client.h"
#include "log/kafka_options.h"

namespace ca4::log {

class KafkaProducer;
class KafkaWatch;

class KafkaLog final : public EventLog {
 public:
  // kConfig for options that librdkafka does not take (an unreadable certificate, a mechanism that
  // is not built in). Does not wait for brokers, and makes no topic.
  static Result<std::unique_ptr<KafkaLog>> open(const KafkaOptions& options);
  ~KafkaLog() override;

  // kTooLarge for what can never fit, kOverloaded when the queue to the brokers is full,
  // kUnavailable when they did not acknowledge it within the delivery timeout or there is no such
  // topic, with what connections died of. kInvalidArgument from a log that only reads.
  void append(std::vector<NewRecord> batch, AppendDone done) override;
  // By kafka.record_bytes_max and the queue's limit; what the topic allows only the brokers know.
  Status admits(const NewRecord& record) const override;
  // Both may outlive the log. A scan needs the brokers' answer: kUnavailable without.
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override;
  Result<std::unique_ptr<Consumer>> scan(From from) override;
  // These wait for the brokers: up to 5 s for the newest, 3 s for the lag and the description; not
  // at all when they were away a moment ago.
  Result<std::vector<Record>> newest() override;
  Result<std::vector<PartitionLag>> lag(const std::string& group) override;
  Result<Description> describe() override;
  // What a background question, every few seconds, last brought.
  Status ready() override;
  size_t queue_depth() const override;
  void close() override;
  const std::string& topic() const override { return options_.topic; }

 private:
  KafkaLog(const KafkaOptions& options, std::shared_ptr<KafkaWatch> watch);
  Result<KafkaClient*> member_of(const std::string& group);

  const KafkaOptions options_;
  const std::shared_ptr<KafkaWatch> watch_;
  std::unique_ptr<KafkaProducer> producer_;  // none for a log that only reads
  std::mutex mutex_;
  std::map<std::string, OwnedClient> members_;  // by group; made at its first question
};

}  // namespace ca4::log
