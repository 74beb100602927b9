#include "log/kafka_topics.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>
#include <thread>

#include "log/kafka_admin.h"
#include "log/kafka_client.h"
#include "log/kafka_error.h"

namespace ca4::log {
namespace {

constexpr int64_t kCallMs = 30'000;  // choosing a leader for each of many partitions takes seconds
constexpr int kConnectMs = 10'000;   // a log-in through a slow tunnel takes one or two
constexpr int kRefusedMs =
    2'000;  // a broker or a tunnel that is just coming up may be a moment late
constexpr int kTryMs = 500;
constexpr int kPauseMs = 50;

constexpr const char* kMinInsync = "min.insync.replicas";
constexpr const char* kRecordBytesMax = "max.message.bytes";

template <class Number>
void read_number(const char* text, Number& number) {
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), number);
}

// What an operation on one topic came to.
Status outcome_of(const rd_kafka_topic_result_t** results, size_t count, const std::string& name) {
  if (count != 1) return {Code::kUnavailable, fmt::format("kafka topic {}: no answer", name)};
  const rd_kafka_resp_err_t err = rd_kafka_topic_result_error(results[0]);
  if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return Status::ok();
  const char* said = rd_kafka_topic_result_error_string(results[0]);
  const Status status = kafka_status(err, name, said == nullptr ? "" : said);
  // It was the cluster that answered: the same plan will get the same answer.
  const bool refused =
      err == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR ||
      err == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS || err == RD_KAFKA_RESP_ERR_INVALID_CONFIG ||
      err == RD_KAFKA_RESP_ERR_INVALID_REQUEST || err == RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
  return refused ? Status(Code::kInvalidArgument, status.message()) : status;
}

}  // namespace

Result<std::unique_ptr<KafkaTopics>> KafkaTopics::open(const KafkaOptions& options) {
  Result<OwnedClient> client = KafkaClient::create(RD_KAFKA_PRODUCER, options, {}, {});
  if (!client) return client.status();
  return std::unique_ptr<KafkaTopics>(new KafkaTopics(std::move(*client)));
}

KafkaTopics::KafkaTopics(std::shared_ptr<KafkaClient> client) : client_(std::move(client)) {}
KafkaTopics::~KafkaTopics() = default;

Result<int> KafkaTopics::brokers() {
  const Deadline deadline(kConnectMs);
  const Deadline refused(kRefusedMs);
  for (;;) {
    const rd_kafka_metadata_t* raw = nullptr;
    const rd_kafka_resp_err_t err = rd_kafka_metadata(client_->handle(), 0, nullptr, &raw,
                                                      std::min(deadline.left_ms(), kTryMs));
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return Metadata(raw)->broker_cnt;
    rd_kafka_poll(client_->handle(), 0);  // what connections died of
    // Trying again changes nothing about a wrong password.
    if (client_->refused() || deadline.over()) return client_->why(err, "");
    if (client_->all_failed() && refused.over()) return client_->why(err, "");
  }
}

Result<TopicState> KafkaTopics::describe(const std::string& name) {
  const Deadline deadline(kCallMs);
  const Result<Metadata> metadata = topic_metadata(*client_, name, deadline);
  rd_kafka_poll(client_->handle(), 0);
  if (!metadata) return metadata.status();
  const rd_kafka_metadata_topic_t& told = (*metadata)->topics[0];
  TopicState state;
  if (told.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) return state;
  if (told.err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(told.err, name);
  state.exists = true;
  state.partitions = told.partition_cnt;
  for (int i = 0; i < told.partition_cnt; ++i) {
    const rd_kafka_metadata_partition_t& partition = told.partitions[i];
    if (partition.leader < 0) ++state.leaderless;
    state.replicas =
        i == 0 ? partition.replica_cnt : std::min(state.replicas, partition.replica_cnt);
  }
  const Status described = describe_config(name, state);
  if (!described.is_ok()) return described;
  return state;
}

Status KafkaTopics::describe_config(const std::string& name, TopicState& state) {
  const Deadline deadline(kCallMs);
  const Queue queue(rd_kafka_queue_new(client_->handle()));
  const AdminOptions options = admin_options(*client_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, deadline);
  rd_kafka_ConfigResource_t* asked =
      rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str());
  rd_kafka_DescribeConfigs(client_->handle(), &asked, 1, options.get(), queue.get());
  rd_kafka_ConfigResource_destroy(asked);
  const Result<Event> event = admin_outcome(queue.get(), name, deadline);
  if (!event) return event.status();
  size_t count = 0;
  const rd_kafka_ConfigResource_t** resources = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(event->get()), &count);
  if (count != 1) return {Code::kUnavailable, fmt::format("kafka topic {}: no answer", name)};
  const rd_kafka_resp_err_t err = rd_kafka_ConfigResource_error(resources[0]);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(err, name);
  const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(resources[0], &count);
  for (size_t i = 0; i < count; ++i) {
    const std::string_view key = rd_kafka_ConfigEntry_name(entries[i]);
    const char* value = rd_kafka_ConfigEntry_value(entries[i]);
    if (key == kMinInsync) read_number(value, state.min_insync);
    if (key == kRecordBytesMax) read_number(value, state.record_bytes_max);
  }
  return Status::ok();
}

Result<TopicState> KafkaTopics::create(const TopicPlan& plan) {
  const Deadline deadline(kCallMs);
  char why[512];
  rd_kafka_NewTopic_t* wanted =
      rd_kafka_NewTopic_new(plan.name.c_str(), plan.partitions, plan.replicas, why, sizeof why);
  if (wanted == nullptr) {
    return Status(Code::kInvalidArgument, fmt::format("kafka topic {}: {}", plan.name, why));
  }
  const auto set = [&](const char* key, const std::string& value) {
    rd_kafka_NewTopic_set_config(wanted, key, value.c_str());
  };
  set(kMinInsync, std::to_string(plan.min_insync));
  set(kRecordBytesMax, std::to_string(plan.record_bytes_max));
  if (plan.keeps_forever) {
    for (const char* limit : {"retention.ms", "retention.bytes"}) set(limit, "-1");
  }
  const Queue queue(rd_kafka_queue_new(client_->handle()));
  const AdminOptions options = admin_options(*client_, RD_KAFKA_ADMIN_OP_CREATETOPICS, deadline);
  rd_kafka_CreateTopics(client_->handle(), &wanted, 1, options.get(), queue.get());
  rd_kafka_NewTopic_destroy(wanted);
  const Result<Event> event = admin_outcome(queue.get(), plan.name, deadline);
  if (!event) return event.status();
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event->get()), &count);
  const Status created = outcome_of(results, count, plan.name);
  if (!created.is_ok()) return created;
  return wait_for_leaders(plan.name, plan.partitions);
}

Result<TopicState> KafkaTopics::grow(const std::string& name, int partitions) {
  const Deadline deadline(kCallMs);
  char why[512];
  rd_kafka_NewPartitions_t* wanted =
      rd_kafka_NewPartitions_new(name.c_str(), static_cast<size_t>(partitions), why, sizeof why);
  if (wanted == nullptr) {
    return Status(Code::kInvalidArgument, fmt::format("kafka topic {}: {}", name, why));
  }
  const Queue queue(rd_kafka_queue_new(client_->handle()));
  const AdminOptions options =
      admin_options(*client_, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, deadline);
  rd_kafka_CreatePartitions(client_->handle(), &wanted, 1, options.get(), queue.get());
  rd_kafka_NewPartitions_destroy(wanted);
  const Result<Event> event = admin_outcome(queue.get(), name, deadline);
  if (!event) return event.status();
  size_t count = 0;
  const rd_kafka_topic_result_t** results = rd_kafka_CreatePartitions_result_topics(
      rd_kafka_event_CreatePartitions_result(event->get()), &count);
  const Status grown = outcome_of(results, count, name);
  if (!grown.is_ok()) return grown;
  return wait_for_leaders(name, partitions);
}

// The cluster answers before all of its brokers know what was made.
Result<TopicState> KafkaTopics::wait_for_leaders(const std::string& name, int partitions) {
  const Deadline deadline(kCallMs);
  while (!deadline.over()) {
    const Result<TopicState> state = describe(name);
    if (state && state->partitions >= partitions && state->leaderless == 0) return state;
    std::this_thread::sleep_for(std::chrono::milliseconds(kPauseMs));
  }
  return Status(Code::kUnavailable,
                fmt::format("kafka topic {}: made, but partitions without a leader "
                            "after {} s; look at the brokers",
                            name, kCallMs / 1000));
}

}  // namespace ca4::log
