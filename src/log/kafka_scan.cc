#include "log/kafka_scan.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "log/kafka_error.h"

namespace ca4::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Read ahead, of all partitions together; the property is about each.
constexpr size_t kQueuedKbytesMax = 16'384;

KafkaProperties properties(size_t partitions) {
  const size_t each = std::max<size_t>(kQueuedKbytesMax / std::max<size_t>(partitions, 1), 1);
  return {
      {"auto.offset.reset", "earliest"},  // what was deleted meanwhile is skipped
      {"isolation.level", "read_committed"},
      {"enable.partition.eof", "true"},  // told in place of a message
      {"check.crcs", "true"},
      {"queued.max.messages.kbytes", std::to_string(each)},
      {"fetch.error.backoff.ms", "100"},
  };
}

}  // namespace

Result<std::unique_ptr<KafkaScan>> KafkaScan::open(const KafkaOptions& options,
                                                   std::map<int32_t, int64_t> from,
                                                   std::shared_ptr<KafkaWatch> watch) {
  std::unique_ptr<KafkaScan> scan(new KafkaScan(options, std::move(from), std::move(watch)));
  Result<OwnedClient> client =
      KafkaClient::create(RD_KAFKA_CONSUMER, options, properties(scan->from_.size()), {});
  if (!client) return client.status();
  scan->client_ = std::move(*client);
  rd_kafka_t* handle = scan->client_->handle();
  scan->topic_.reset(rd_kafka_topic_new(handle, options.topic.c_str(), nullptr));
  if (!scan->topic_) return kafka_status(rd_kafka_last_error(), options.topic);
  scan->queue_ = std::make_unique<KafkaQueue>(handle);
  const Status started = scan->start();
  if (!started.is_ok()) return started;
  return scan;
}

KafkaScan::KafkaScan(const KafkaOptions& options, std::map<int32_t, int64_t> from,
                     std::shared_ptr<KafkaWatch> watch)
    : options_(options), from_(std::move(from)), watch_(std::move(watch)) {}

KafkaScan::~KafkaScan() {
  if (queue_) stop();
}

Status KafkaScan::start() {
  for (const auto& [partition, offset] : from_) {
    if (rd_kafka_consume_start_queue(topic_.get(), partition, offset, queue_->handle()) != 0) {
      return kafka_status(rd_kafka_last_error(), options_.topic);
    }
  }
  return Status::ok();
}

void KafkaScan::stop() {
  for (const auto& [partition, offset] : from_) {
    rd_kafka_consume_stop(topic_.get(), partition);
  }
  queue_->forget_held();
  ends_seen_.clear();
  damaged_ = Status::ok();
}

Result<std::vector<Record>> KafkaScan::poll(const PollLimits& limits) {
  const auto deadline = steady_clock::now() + milliseconds(limits.wait_ms_max);
  std::vector<Record> records;
  Status refused;
  for (;;) {
    if (interrupted_) return records;
    if (!damaged_.is_ok()) return damaged_;
    rd_kafka_poll(client_->handle(), 0);
    queue_->take(
        limits, records, [this](const rd_kafka_message_t&) { return damaged_.is_ok(); },
        [&](const rd_kafka_message_t& message) {
          if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
            ends_seen_[message.partition] = message.offset;
            return;
          }
          refused = kafka_status(message.err, options_.topic, rd_kafka_message_errstr(&message));
          if (is_damage(message.err)) damaged_ = refused;
        });
    if (!records.empty()) return records;
    if (!refused.is_ok()) return refused;
    if (queue_->wait_until(deadline)) continue;
    if (const Status away = watch_->away(); !away.is_ok()) return away;
    return records;
  }
}

Status KafkaScan::commit(const std::vector<Position>& /*next*/) {
  return {Code::kInvalidArgument, "a scan has no position to commit"};
}

Status KafkaScan::rewind() {
  stop();
  return start();
}

std::optional<int64_t> KafkaScan::end_seen(int32_t partition) const {
  const auto seen = ends_seen_.find(partition);
  return seen == ends_seen_.end() ? std::nullopt : std::optional(seen->second);
}

void KafkaScan::interrupt() {
  interrupted_ = true;
  queue_->wake();
}

}  // namespace ca4::log
