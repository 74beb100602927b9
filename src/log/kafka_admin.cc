#include "log/kafka_admin.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "log/kafka_error.h"

namespace ca4::log {
namespace {

// librdkafka ends an operation by its own timeout; this is what its answer may take to get here.
constexpr int kAnswerMarginMs = 500;
// Between two questions for a group whose coordinator moves, which takes a second or so.
constexpr std::chrono::milliseconds kMovingPause(100);

Partitions list_of(const std::string& topic, const std::vector<int32_t>& partitions,
                   int64_t offset) {
  Partitions list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const int32_t partition : partitions) {
    rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), partition)->offset = offset;
  }
  return list;
}

// Somewhere else, or on its way: librdkafka has gone to look, and is not asked again by itself.
bool coordinator_moves(rd_kafka_resp_err_t err) {
  return err == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
         err == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
         err == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS;
}

}  // namespace

int Deadline::left_ms() const {
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(at_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<int64_t>(left.count(), 1));
}

Result<Metadata> topic_metadata(KafkaClient& client, const std::string& topic, Deadline deadline) {
  const TopicHandle handle(rd_kafka_topic_new(client.handle(), topic.c_str(), nullptr));
  if (!handle) return kafka_status(rd_kafka_last_error(), topic);
  const rd_kafka_metadata_t* raw = nullptr;
  const rd_kafka_resp_err_t err =
      rd_kafka_metadata(client.handle(), 0, handle.get(), &raw, deadline.left_ms());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return client.why(err, topic);
  Metadata metadata(raw);
  if (metadata->topic_cnt == 1) return metadata;
  return kafka_status(RD_KAFKA_RESP_ERR__BAD_MSG, topic);
}

Result<Description> describe_topic(KafkaClient& client, const std::string& topic,
                                   Deadline deadline) {
  const Result<Metadata> metadata = topic_metadata(client, topic, deadline);
  if (!metadata) return metadata.status();
  const rd_kafka_metadata_topic_t& told = (*metadata)->topics[0];
  if (told.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) {
    return Status(Code::kNotFound, fmt::format("kafka has no topic {}", topic));
  }
  if (told.err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(told.err, topic);
  Description description;
  for (int i = 0; i < (*metadata)->broker_cnt; ++i) {
    const rd_kafka_metadata_broker_t& broker = (*metadata)->brokers[i];
    description.brokers.push_back(fmt::format("{} at {}:{}", broker.id, broker.host, broker.port));
  }
  for (int i = 0; i < told.partition_cnt; ++i) {
    const rd_kafka_metadata_partition_t& row = told.partitions[i];
    description.partitions.push_back({row.id, row.leader, static_cast<size_t>(row.replica_cnt),
                                      static_cast<size_t>(row.isr_cnt)});
  }
  return description;
}

Result<std::vector<int32_t>> partitions_of(KafkaClient& client, const std::string& topic,
                                           Deadline deadline) {
  const Result<Metadata> metadata = topic_metadata(client, topic, deadline);
  if (!metadata) return metadata.status();
  const rd_kafka_metadata_topic_t& told = (*metadata)->topics[0];
  if (told.err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(told.err, topic);
  std::vector<int32_t> partitions;
  for (int i = 0; i < told.partition_cnt; ++i) partitions.push_back(told.partitions[i].id);
  std::sort(partitions.begin(), partitions.end());
  return partitions;
}

Result<std::map<int32_t, int64_t>> offsets_at(KafkaClient& client, const std::string& topic,
                                              const std::vector<int32_t>& partitions, int64_t where,
                                              Deadline deadline) {
  // The request for offsets by time, which goes to all leaders at once; the two ends of a partition
  // are times to it (Kafka protocol, ListOffsets: -1 is the latest, -2 the earliest).
  const Partitions list = list_of(topic, partitions, where);
  const rd_kafka_resp_err_t err =
      rd_kafka_offsets_for_times(client.handle(), list.get(), deadline.left_ms());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return client.why(err, topic);
  std::map<int32_t, int64_t> offsets;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& row = list->elems[i];
    if (row.err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(row.err, topic);
    offsets[row.partition] = row.offset;
  }
  return offsets;
}

Result<std::map<int32_t, int64_t>> committed_by(KafkaClient& member, const std::string& topic,
                                                const std::vector<int32_t>& partitions,
                                                Deadline deadline) {
  const Partitions list = list_of(topic, partitions, RD_KAFKA_OFFSET_INVALID);
  rd_kafka_resp_err_t err = rd_kafka_committed(member.handle(), list.get(), deadline.left_ms());
  while (coordinator_moves(err) && deadline.left_ms() > kMovingPause.count()) {
    std::this_thread::sleep_for(kMovingPause);
    err = rd_kafka_committed(member.handle(), list.get(), deadline.left_ms());
  }
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return member.why(err, topic);
  std::map<int32_t, int64_t> committed;
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& row = list->elems[i];
    if (row.err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(row.err, topic);
    if (row.offset >= 0) committed[row.partition] = row.offset;
  }
  return committed;
}

AdminOptions admin_options(KafkaClient& client, rd_kafka_admin_op_t operation, Deadline deadline) {
  AdminOptions options(rd_kafka_AdminOptions_new(client.handle(), operation));
  char why[256];
  rd_kafka_AdminOptions_set_request_timeout(options.get(), deadline.left_ms(), why, sizeof why);
  return options;
}

Result<Event> admin_outcome(rd_kafka_queue_t* queue, const std::string& topic, Deadline deadline) {
  Event event(rd_kafka_queue_poll(queue, deadline.left_ms() + kAnswerMarginMs));
  if (!event) return kafka_status(RD_KAFKA_RESP_ERR__TIMED_OUT, topic);
  const rd_kafka_resp_err_t err = rd_kafka_event_error(event.get());
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return event;
  return kafka_status(err, topic, rd_kafka_event_error_string(event.get()));
}

}  // namespace ca4::log
