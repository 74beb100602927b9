// The topics of a Kafka cluster: what there is, and making what there is not. For tools: every call
// waits for the brokers, up to half a minute.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "log/kafka_options.h"

namespace ca4::log {

class KafkaClient;

struct TopicState {
  bool exists = false;  // false: the rest says nothing
  int partitions = 0;
  int leaderless = 0;  // of the partitions: nothing can be written to them or read from them now
  int replicas = 0;    // of the partition that has the fewest
  int min_insync = 0;  // replicas that must have a record before it counts as written
  int64_t record_bytes_max = 0;
};

struct TopicPlan {
  std::string name;
  int partitions = 1;
  int replicas = 1;
  int min_insync = 1;
  int64_t record_bytes_max = 1 << 20;
  bool keeps_forever = false;  // otherwise the cluster's retention
};

// Not thread-safe.
class KafkaTopics {
 public:
  // Takes address and security of `options`. kConfig as KafkaLog::open.
  static Result<std::unique_ptr<KafkaTopics>> open(const KafkaOptions& options);
  ~KafkaTopics();

  // Brokers in the cluster now. To be asked first: it waits no longer than connecting may take.
  Result<int> brokers();

  Result<TopicState> describe(const std::string& name);

  // Returns when every partition has a leader, with the topic as it is then: asked again at once,
  // another broker may not know it yet. kInvalidArgument for a plan that the cluster refuses, such
  // as more replicas than brokers.
  Result<TopicState> create(const TopicPlan& plan);

  // To this number of partitions, as `create`; there is no way back. Ids move to other partitions:
  // what is written from then on may overtake older records of the same id, which the stores sort
  // out by version.
  Result<TopicState> grow(const std::string& name, int partitions);

 private:
  explicit KafkaTopics(std::shared_ptr<KafkaClient> client);
  Status describe_config(const std::string& name, TopicState& state);
  Result<TopicState> wait_for_leaders(const std::string& name, int partitions);

  const std::shared_ptr<KafkaClient> client_;  // shared, so that its deleter need not be known here
};

}  // namespace ca4::log
