// Reads a Kafka topic for a consumer group. Internal to the Kafka log.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "log/event_log.h"
#include "log/kafka_admin.h"
#include "log/kafka_client.h"
#include "log/kafka_options.h"
#include "log/kafka_queue.h"

namespace ca4::log {

// A member of the group. A thread of its own answers for it to the group, so that it stays a
// member, and gives up partitions when asked, also while its user is busy with a batch for hours.
// Records wait in a bounded queue, and only as much is fetched as has room there: no partition need
// be paused.
//
// When members come or go, all give their partitions up for a moment and take what they are given
// then, mostly the same. A batch in hand is no less good for that: its commit waits for the moment
// to be over, leaves out partitions that are another's now, who gets their records again from what
// is committed, and succeeds for the rest.
class KafkaConsumer final : public Consumer {
 public:
  // Returns at once; partitions come with later polls, which are empty until then.
  static Result<std::unique_ptr<KafkaConsumer>> join(const KafkaOptions& options,
                                                     const std::string& group);
  ~KafkaConsumer() override;

  // Empty also while the brokers are away: they are looked for underneath. Fails with what needs a
  // person: no such topic, no right to it, a group whose members have other rules. Also while what
  // comes is damaged: its partition is read again from what is committed, and nothing passed over.
  Result<std::vector<Record>> poll(const PollLimits& limits) override;
  // Waits a few seconds for a group that is being rearranged. kInvalidArgument for a position that
  // no poll reached.
  Status commit(const std::vector<Position>& next) override;
  // Takes effect with the next poll.
  Status rewind() override;
  void interrupt() override;
  std::optional<int64_t> end_seen(int32_t partition) const override;

 private:
  KafkaConsumer(const KafkaOptions& options, std::string group)
      : options_(options), group_(std::move(group)) {}

  void serve();
  void leave();
  bool is_damaged() const;
  void rebalance(rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t* partitions);
  void assign(rd_kafka_topic_partition_list_t* partitions);
  void take(const PollLimits& limits, std::vector<Record>& records);
  Status go_back();
  Status seek_to_committed(const std::set<int32_t>& partitions);
  // Both need the lock.
  bool take_note(const rd_kafka_message_t& message);
  void complain(const rd_kafka_message_t& message);
  Result<Partitions> still_owned(const std::vector<Position>& next, const Deadline& deadline);
  rd_kafka_resp_err_t commit_once(const rd_kafka_topic_partition_list_t* offsets);

  const KafkaOptions options_;
  const std::string group_;
  OwnedClient client_;
  TopicHandle topic_;
  std::unique_ptr<KafkaQueue> queue_;  // goes before the client, as the topic

  // Guards what follows, and that nothing is taken while partitions move.
  mutable std::mutex mutex_;
  // Partitions of this member, and the lowest record given since they were given to it: before it
  // the group has committed everything.
  std::map<int32_t, std::optional<int64_t>> owned_;
  bool moving_ = false;                   // partitions were given up, and others not yet taken
  std::map<int32_t, int64_t> furthest_;   // one past the last record ever given of a partition
  std::map<int32_t, int64_t> ends_seen_;  // of owned partitions, since they were given or rewound
  // Of what came damaged: nothing more of these is taken until they are read again.
  std::set<int32_t> damaged_;
  Status trouble_;  // what only a person can mend, or is damaged; until something good comes
  LogLimiter limiter_;

  bool rewinds_ = false;  // of the user's thread
  std::atomic<bool> interrupted_ = false;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace ca4::log
