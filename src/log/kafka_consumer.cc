#include "log/kafka_consumer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>

#include "log/kafka_admin.h"
#include "log/kafka_error.h"

namespace ca4::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kServeMs = 100;         // how late the serving thread may see that it is to end
constexpr int64_t kCommitMs = 5'000;  // a group settles, and a broker gets a new leader, within it
constexpr int kPauseMs = 100;
constexpr int64_t kSeekMs = 2'000;
constexpr int64_t kLeaveMs = 3'000;

// What waits here, unpacked. A fetch in flight may overrun it by what one answer of each broker
// holds. Once it is full, librdkafka 2.0.2 looks again only after a second (later ones have
// fetch.queue.backoff.ms for it), so this is also about what a backlog is read at a second: of
// events of 2,048 floats as JSON 16 MiB were 1,300, at a tenth of a core; so are 64 MiB 4,700.
constexpr int64_t kQueuedKbytesMax = 64 << 10;
constexpr int64_t kFetchBytesMax = 8 << 20;

KafkaProperties properties_of(const KafkaOptions& options, const std::string& group) {
  return {
      {"group.id", group},
      // Not cooperative-sticky: with librdkafka 2.0.2 its leader never ends computing when there
      // are two members more than partitions, and a member that leaves before its first assignment
      // crashes. Members have no fixed names: a process that ends gives its partitions away at
      // once.
      {"partition.assignment.strategy", "range"},
      {"session.timeout.ms", std::to_string(options.session_timeout_ms)},
      // How soon a member hears that others come or go: nobody reads while one has not heard.
      {"heartbeat.interval.ms", "500"},
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      {"auto.offset.reset", "earliest"},
      {"isolation.level", "read_committed"},
      {"enable.partition.eof", "true"},  // told in place of a message
      {"check.crcs", "true"},
      {"queued.max.messages.kbytes", std::to_string(kQueuedKbytesMax)},
      {"fetch.message.max.bytes", std::to_string(1 << 20)},
      {"fetch.max.bytes", std::to_string(kFetchBytesMax)},
      {"fetch.error.backoff.ms", "100"},
  };
}

// The group is being rearranged, or has been without us: what becomes of our partitions is known in
// a moment, and with it whether there is still something to commit.
bool is_unsettled(rd_kafka_resp_err_t err) {
  return err == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS ||
         err == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
         err == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || err == RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST ||
         err == RD_KAFKA_RESP_ERR_NOT_COORDINATOR ||
         err == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
         err == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
         err == RD_KAFKA_RESP_ERR__WAIT_COORD || err == RD_KAFKA_RESP_ERR__TRANSPORT ||
         err == RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT;
}

// What no waiting mends. Everything else is tried again underneath.
bool needs_a_person(rd_kafka_resp_err_t err) {
  return err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
         err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
         err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
         err == RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL;
}

}  // namespace

Result<std::unique_ptr<KafkaConsumer>> KafkaConsumer::join(const KafkaOptions& options,
                                                           const std::string& group) {
  std::unique_ptr<KafkaConsumer> consumer(new KafkaConsumer(options, group));
  KafkaHooks hooks;
  hooks.rebalance = [raw = consumer.get()](rd_kafka_resp_err_t what,
                                           rd_kafka_topic_partition_list_t* partitions) {
    raw->rebalance(what, partitions);
  };
  Result<OwnedClient> client = KafkaClient::create(RD_KAFKA_CONSUMER, options,
                                                   properties_of(options, group), std::move(hooks));
  if (!client) return client.status();
  consumer->client_ = std::move(*client);
  rd_kafka_t* handle = consumer->client_->handle();
  rd_kafka_poll_set_consumer(handle);
  consumer->queue_ = std::make_unique<KafkaQueue>(handle);
  consumer->topic_.reset(rd_kafka_topic_new(handle, options.topic.c_str(), nullptr));
  const Partitions topics(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(topics.get(), options.topic.c_str(), RD_KAFKA_PARTITION_UA);
  const rd_kafka_resp_err_t err = rd_kafka_subscribe(handle, topics.get());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(err, options.topic);
  consumer->thread_ = std::thread([raw = consumer.get()] { raw->serve(); });
  return consumer;
}

KafkaConsumer::~KafkaConsumer() {
  stopping_ = true;
  if (!thread_.joinable()) return;
  thread_.join();
  queue_.reset();
  topic_.reset();
  if (rd_kafka_consumer_closed(client_->handle()) == 0) KafkaClient::abandon(std::move(client_));
}

// Records do not come this way (see `assign`), only what the group has to say.
void KafkaConsumer::serve() {
  while (!stopping_) {
    const Message said(rd_kafka_consumer_poll(client_->handle(), kServeMs));
    if (!said || said->err == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    const std::lock_guard lock(mutex_);
    complain(*said);
  }
  leave();
}

// Not rd_kafka_consumer_close: while the brokers are away it waits for the answers to commits, a
// minute and longer.
void KafkaConsumer::leave() {
  rd_kafka_t* handle = client_->handle();
  const Queue said(rd_kafka_queue_new(handle));
  rd_kafka_error_t* error = rd_kafka_consumer_close_queue(handle, said.get());
  if (error != nullptr) return rd_kafka_error_destroy(error);  // broken: nobody waits for it
  const Deadline deadline(kLeaveMs);
  while (rd_kafka_consumer_closed(handle) == 0 && !deadline.over()) {
    const Event event(rd_kafka_queue_poll(said.get(), kServeMs));
    if (event && rd_kafka_event_type(event.get()) == RD_KAFKA_EVENT_REBALANCE) {
      rd_kafka_assign(handle, nullptr);
    }
  }
}

void KafkaConsumer::rebalance(rd_kafka_resp_err_t what,
                              rd_kafka_topic_partition_list_t* partitions) {
  const std::lock_guard lock(mutex_);
  if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) return assign(partitions);
  owned_.clear();
  ends_seen_.clear();
  damaged_.clear();
  queue_->forget_held();
  moving_ = true;
  rd_kafka_assign(client_->handle(), nullptr);
}

// What is fetched goes to our own queue from the start, past the one the serving thread reads.
void KafkaConsumer::assign(rd_kafka_topic_partition_list_t* partitions) {
  for (int i = 0; i < partitions->cnt; ++i) {
    const int32_t partition = partitions->elems[i].partition;
    owned_[partition] = {};
    const Queue fetched(
        rd_kafka_queue_get_partition(client_->handle(), options_.topic.c_str(), partition));
    rd_kafka_queue_forward(fetched.get(), queue_->handle());
  }
  trouble_ = Status::ok();
  moving_ = false;
  rd_kafka_assign(client_->handle(), partitions);
}

Result<std::vector<Record>> KafkaConsumer::poll(const PollLimits& limits) {
  const auto deadline = steady_clock::now() + milliseconds(limits.wait_ms_max);
  std::vector<Record> records;
  for (;;) {
    if (interrupted_) return records;
    if (!go_back().is_ok()) {
      // The brokers are away, or a new partition is not being read yet.
      if (steady_clock::now() >= deadline) return records;
      std::this_thread::sleep_for(milliseconds(kPauseMs));
      continue;
    }
    take(limits, records);
    if (!records.empty()) return records;
    if (!is_damaged() && queue_->wait_until(deadline)) continue;
    const std::lock_guard lock(mutex_);
    if (trouble_.is_ok()) return records;
    return trouble_;
  }
}

bool KafkaConsumer::is_damaged() const {
  const std::lock_guard lock(mutex_);
  return !damaged_.empty();
}

void KafkaConsumer::take(const PollLimits& limits, std::vector<Record>& records) {
  const std::lock_guard lock(mutex_);
  queue_->take(
      limits, records,
      [this](const rd_kafka_message_t& message) {
        return !damaged_.contains(message.partition) && take_note(message);
      },
      [this](const rd_kafka_message_t& message) { complain(message); });
}

void KafkaConsumer::complain(const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    ends_seen_[message.partition] = message.offset;
    return;
  }
  const Status status =
      kafka_status(message.err, options_.topic, rd_kafka_message_errstr(&message));
  // librdkafka goes on behind it, or anywhere: what it meets there, it names wrong places of.
  const bool damage = is_damage(message.err) && owned_.contains(message.partition);
  if (damage && !damaged_.insert(message.partition).second) return;
  if (damage || needs_a_person(message.err)) {
    trouble_ = status;
  } else if (limiter_.allow(rd_kafka_err2name(message.err), steady_clock::now())) {
    spdlog::warn("{}: {}", group_, status.message());
  }
}

// False for a record of a partition that was given up after it was fetched.
bool KafkaConsumer::take_note(const rd_kafka_message_t& message) {
  const auto owned = owned_.find(message.partition);
  if (owned == owned_.end()) return false;
  // Further back than before: of a log that has lost its end, or is another of the same name.
  if (!owned->second || message.offset < *owned->second) owned->second = message.offset;
  int64_t& furthest = furthest_[message.partition];
  furthest = std::max(furthest, message.offset + 1);
  trouble_ = Status::ok();
  return true;
}

Status KafkaConsumer::commit(const std::vector<Position>& next) {
  const Deadline deadline(kCommitMs);
  for (;; std::this_thread::sleep_for(milliseconds(kPauseMs))) {
    // Each time anew: between two tries partitions may have gone, or come back.
    const Result<Partitions> offsets = still_owned(next, deadline);
    if (!offsets) return offsets.status();
    if (!*offsets) continue;
    if ((*offsets)->cnt == 0) return Status::ok();
    const rd_kafka_resp_err_t err = commit_once(offsets->get());
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) return Status::ok();
    if (!is_unsettled(err) || deadline.left_ms() <= kPauseMs) {
      return client_->why(err, options_.topic);
    }
  }
}

// Those of the positions that this member may commit; null while that is not known, because the
// group is being rearranged. A position is good whenever its records were given, also when the
// partition went and came back since: everything before it was handled by then. But where another
// member went further meanwhile, its commit stays.
Result<Partitions> KafkaConsumer::still_owned(const std::vector<Position>& next,
                                              const Deadline& deadline) {
  const std::lock_guard lock(mutex_);
  Partitions offsets(rd_kafka_topic_partition_list_new(static_cast<int>(next.size())));
  for (const Position& position : next) {
    const auto given = furthest_.find(position.partition);
    if (given == furthest_.end() || position.offset < 0 || position.offset > given->second) {
      return Status(Code::kInvalidArgument,
                    fmt::format("kafka topic {}: group {} commits partition {} offset {}, which no "
                                "poll came to",
                                options_.topic, group_, position.partition, position.offset));
    }
    const auto owned = owned_.find(position.partition);
    if (owned == owned_.end() || position.offset < owned->second.value_or(0)) continue;
    rd_kafka_topic_partition_list_add(offsets.get(), options_.topic.c_str(), position.partition)
        ->offset = position.offset;
  }
  if (moving_ && !deadline.over()) return Partitions();
  return offsets;
}

rd_kafka_resp_err_t KafkaConsumer::commit_once(const rd_kafka_topic_partition_list_t* offsets) {
  const Queue answers(rd_kafka_queue_new(client_->handle()));
  const rd_kafka_resp_err_t err =
      rd_kafka_commit_queue(client_->handle(), offsets, answers.get(), nullptr, nullptr);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return err;
  const Event answer(rd_kafka_queue_poll(answers.get(), kCommitMs));
  if (!answer) return RD_KAFKA_RESP_ERR__TIMED_OUT;
  // An answer that is good for some partitions and bad for others is good as a whole.
  const rd_kafka_topic_partition_list_t* rows = rd_kafka_event_topic_partition_list(answer.get());
  for (int i = 0; rows != nullptr && i < rows->cnt; ++i) {
    if (rows->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR) return rows->elems[i].err;
  }
  return rd_kafka_event_error(answer.get());
}

Status KafkaConsumer::rewind() {
  rewinds_ = true;
  return Status::ok();
}

// Where there is something to read again: all after a rewind, else what came damaged.
Status KafkaConsumer::go_back() {
  std::set<int32_t> partitions;
  {
    const std::lock_guard lock(mutex_);
    partitions = damaged_;
    for (const auto& [partition, owned] : owned_) {
      if (rewinds_) partitions.insert(partition);
    }
  }
  if (!partitions.empty()) {
    if (Status status = seek_to_committed(partitions); !status.is_ok()) return status;
  }
  rewinds_ = false;
  return Status::ok();
}

Status KafkaConsumer::seek_to_committed(const std::set<int32_t>& partitions) {
  const Deadline deadline(kSeekMs);
  const Partitions places(rd_kafka_topic_partition_list_new(1));
  for (const int32_t partition : partitions) {
    rd_kafka_topic_partition_list_add(places.get(), options_.topic.c_str(), partition);
  }
  const rd_kafka_resp_err_t err =
      rd_kafka_committed(client_->handle(), places.get(), deadline.left_ms());
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(err, options_.topic);
  for (int i = 0; i < places->cnt; ++i) {
    int64_t& offset = places->elems[i].offset;
    if (offset < 0) offset = RD_KAFKA_OFFSET_BEGINNING;
  }
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < places->cnt; ++i) {
    const rd_kafka_topic_partition_t& place = places->elems[i];
    queue_->forget_held_of(place.partition);
    ends_seen_.erase(place.partition);
    const auto owned = owned_.find(place.partition);
    if (owned == owned_.end()) continue;  // gone meanwhile, and with it what there was to do again
    // Not rd_kafka_seek_partitions: librdkafka 2.0.2 waits a thousandth of the time it is given.
    const rd_kafka_resp_err_t sought =
        rd_kafka_seek(topic_.get(), place.partition, place.offset, deadline.left_ms());
    if (sought != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_status(sought, options_.topic);
    owned->second = {};
    damaged_.erase(place.partition);
  }
  return Status::ok();
}

std::optional<int64_t> KafkaConsumer::end_seen(int32_t partition) const {
  const std::lock_guard lock(mutex_);
  const auto seen = ends_seen_.find(partition);
  return seen == ends_seen_.end() ? std::nullopt : std::optional(seen->second);
}

void KafkaConsumer::interrupt() {
  interrupted_ = true;
  queue_->wake();
}

}  // namespace ca4::log
