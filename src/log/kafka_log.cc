#include "log/kafka_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "log/append_queue.h"
#include "log/kafka_admin.h"
#include "log/kafka_consumer.h"
#include "log/kafka_error.h"
#include "log/kafka_producer.h"
#include "log/kafka_scan.h"
#include "log/kafka_watch.h"

namespace ca4::log {
namespace {

constexpr int64_t kLagMs = 3'000;
constexpr int64_t kDescribeMs = 3'000;
constexpr int64_t kScanMs = 10'000;  // for a tool, which may just have started to connect
constexpr int64_t kNewestMs = 5'000;
constexpr int64_t kReadMs = 100;

using Offsets = std::map<int32_t, int64_t>;

struct Ends {
  std::vector<int32_t> partitions;
  Offsets ends;
};

Result<Ends> ends_of(KafkaClient& client, const std::string& topic, Deadline deadline) {
  Ends told;
  Result<std::vector<int32_t>> partitions = partitions_of(client, topic, deadline);
  if (!partitions) return partitions.status();
  Result<Offsets> ends = offsets_at(client, topic, *partitions, RD_KAFKA_OFFSET_END, deadline);
  if (!ends) return ends.status();
  return Ends{std::move(*partitions), std::move(*ends)};
}

// The record at each of these places, or the last one behind it. A partition that ends with what is
// no record (the marks of transactions) has none.
Result<std::vector<Record>> read_last(const KafkaOptions& options, const Offsets& places,
                                      const std::shared_ptr<KafkaWatch>& watch, Deadline deadline) {
  std::vector<Record> records;
  if (places.empty()) return records;
  Result<std::unique_ptr<KafkaScan>> scan = KafkaScan::open(options, places, watch);
  if (!scan) return scan.status();
  std::map<int32_t, Record> last;
  const auto known = [&](const auto& place) {
    return last.contains(place.first) || (*scan)->end_seen(place.first).has_value();
  };
  while (!std::all_of(places.begin(), places.end(), known)) {
    if (deadline.over()) return kafka_status(RD_KAFKA_RESP_ERR__TIMED_OUT, options.topic);
    Result<std::vector<Record>> polled = (*scan)->poll({.wait_ms_max = kReadMs});
    if (!polled) return polled.status();
    for (Record& record : *polled) last[record.position.partition] = std::move(record);
  }
  for (auto& [partition, record] : last) records.push_back(std::move(record));
  return records;
}

}  // namespace

Result<std::unique_ptr<KafkaLog>> KafkaLog::open(const KafkaOptions& options) {
  // For questions; it joins no group.
  Result<OwnedClient> client = KafkaClient::create(RD_KAFKA_CONSUMER, options, {}, {});
  if (!client) return client.status();
  std::unique_ptr<KafkaLog> log(new KafkaLog(
      options,
      std::make_shared<KafkaWatch>(std::move(*client), options.topic, options.tells_outages)));
  if (!options.appends) return log;
  Result<std::unique_ptr<KafkaProducer>> producer = KafkaProducer::start(options, log->watch_);
  if (!producer) return producer.status();
  log->producer_ = std::move(*producer);
  return log;
}

KafkaLog::KafkaLog(const KafkaOptions& options, std::shared_ptr<KafkaWatch> watch)
    : options_(options), watch_(std::move(watch)) {}

KafkaLog::~KafkaLog() {
  close();
}

void KafkaLog::append(std::vector<NewRecord> batch, AppendDone done) {
  if (!producer_) {
    return done(Status(Code::kInvalidArgument,
                       "kafka topic " + options_.topic + ": opened for reading only"));
  }
  for (const NewRecord& record : batch) {
    if (const Status admitted = admits(record); !admitted.is_ok()) return done(admitted);
  }
  producer_->append(std::move(batch), std::move(done));
}

Status KafkaLog::admits(const NewRecord& record) const {
  const size_t bytes = record.key.size() + record.value.size();
  if (bytes <= options_.record_bytes_max) return fits_queue(record, options_.queue_bytes_max);
  return {Code::kTooLarge, fmt::format("a record of {} bytes is over kafka.record_bytes_max, {}",
                                       bytes, options_.record_bytes_max)};
}

Result<std::unique_ptr<Consumer>> KafkaLog::consumer(const std::string& group) {
  Result<std::unique_ptr<KafkaConsumer>> consumer = KafkaConsumer::join(options_, group);
  if (!consumer) return consumer.status();
  return std::unique_ptr<Consumer>(std::move(*consumer));
}

Result<std::unique_ptr<Consumer>> KafkaLog::scan(From from) {
  const Deadline deadline(kScanMs);
  Result<Ends> told = ends_of(watch_->client(), options_.topic, deadline);
  if (!told) return told.status();
  Offsets begin = std::move(told->ends);
  if (from == From::kOldest) {
    for (auto& [partition, offset] : begin) offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  Result<std::unique_ptr<KafkaScan>> scan = KafkaScan::open(options_, std::move(begin), watch_);
  if (!scan) return scan.status();
  return std::unique_ptr<Consumer>(std::move(*scan));
}

Result<std::vector<Record>> KafkaLog::newest() {
  const Deadline deadline(kNewestMs);
  Result<Ends> told = ends_of(watch_->client(), options_.topic, deadline);
  if (!told) return told.status();
  const Result<Offsets> oldest = offsets_at(watch_->client(), options_.topic, told->partitions,
                                            RD_KAFKA_OFFSET_BEGINNING, deadline);
  if (!oldest) return oldest.status();
  Offsets last;
  for (const auto& [partition, end] : told->ends) {
    const auto begin = oldest->find(partition);
    if (begin != oldest->end() && begin->second < end) last[partition] = end - 1;
  }
  return read_last(options_, last, watch_, deadline);
}

// Whom to ask what a group has committed. Not the admin request for it, ListConsumerGroupOffsets:
// librdkafka, from 2.0.2 to 2.13 at the least, ends the process when the coordinator's connection
// breaks at the wrong moment (confluentinc/librdkafka issues 3663 and 4605).
Result<KafkaClient*> KafkaLog::member_of(const std::string& group) {
  const std::lock_guard lock(mutex_);
  OwnedClient& member = members_[group];
  if (!member) {
    Result<OwnedClient> made =
        KafkaClient::create(RD_KAFKA_CONSUMER, options_, {{"group.id", group}}, {});
    if (!made) return made.status();
    member = std::move(*made);
  }
  return member.get();
}

Result<std::vector<PartitionLag>> KafkaLog::lag(const std::string& group) {
  if (const Status away = watch_->away(); !away.is_ok()) return away;
  const Deadline deadline(kLagMs);
  const Result<Ends> told = ends_of(watch_->client(), options_.topic, deadline);
  if (!told) return told.status();
  Offsets committed;
  if (group != kNobody) {
    const Result<KafkaClient*> member = member_of(group);
    if (!member) return member.status();
    Result<Offsets> known = committed_by(**member, options_.topic, told->partitions, deadline);
    if (!known) return known.status();
    committed = std::move(*known);
  }
  // A group that is at the end of a partition has no use for its beginning.
  const bool complete = std::all_of(told->ends.begin(), told->ends.end(), [&](const auto& end) {
    const auto known = committed.find(end.first);
    return known != committed.end() && known->second >= end.second;
  });
  Offsets oldest;
  if (!complete) {
    Result<Offsets> known = offsets_at(watch_->client(), options_.topic, told->partitions,
                                       RD_KAFKA_OFFSET_BEGINNING, deadline);
    if (!known) return known.status();
    oldest = std::move(*known);
  }
  std::vector<PartitionLag> rows;
  for (const auto& [partition, end] : told->ends) {
    const auto known = committed.find(partition);
    const int64_t next = std::max(oldest[partition], known == committed.end() ? 0 : known->second);
    rows.push_back({partition, std::min(next, end), end});
  }
  return rows;
}

Result<Description> KafkaLog::describe() {
  return describe_topic(watch_->client(), options_.topic, Deadline(kDescribeMs));
}

Status KafkaLog::ready() {
  return watch_->ready();
}

size_t KafkaLog::queue_depth() const {
  return producer_ ? producer_->depth() : 0;
}

void KafkaLog::close() {
  if (producer_) producer_->close();
  watch_->stop();
}

}  // namespace ca4::log
