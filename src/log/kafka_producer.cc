#include "log/kafka_producer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "log/kafka_error.h"

namespace ca4::log {
namespace {

constexpr int kServeMs = 100;  // how late the serving thread may see that it is to end

// Room beside key and value for headers and what librdkafka counts as its own.
constexpr size_t kRecordOverheadBytes = 64U << 10;
constexpr int kRetryMs = 1'000;

// What goes together in one request for a partition: librdkafka's default. A topic may take less;
// one that takes no more than the least hardly takes one event.
constexpr size_t kTogetherBytesMax = 1'000'000;
constexpr size_t kTogetherBytesMin = 4'000;

KafkaProperties properties_of(const KafkaOptions& options, size_t together_bytes_max) {
  // What floats as text can be shortened by is their digits' share of a byte, which every level of
  // zstd finds: level 1 leaves as many bytes as librdkafka's 3, at half of the CPU. The other
  // codecs have their own default.
  const char* level = options.compression == "zstd" ? "1" : "-1";
  // Our own limits are the ones that bite: librdkafka's stand behind them, with room to spare.
  const size_t queue_kbytes = 2 * (options.queue_bytes_max >> 10) + (64U << 10);
  return {
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"max.in.flight.requests.per.connection", "5"},  // the most that keeps order and idempotence
      {"compression.codec", options.compression},
      {"compression.level", level},
      {"linger.ms", std::to_string(options.linger_ms)},
      {"batch.size", std::to_string(together_bytes_max)},
      {"message.timeout.ms", std::to_string(options.delivery_timeout_ms)},
      {"message.max.bytes", std::to_string(options.record_bytes_max + kRecordOverheadBytes)},
      {"queue.buffering.max.kbytes", std::to_string(queue_kbytes)},
      {"queue.buffering.max.messages", std::to_string(2 * options.queue_records_max)},
      // As the Java clients: one id goes to one partition, whoever writes it.
      {"partitioner", "murmur2_random"},
  };
}

rd_kafka_resp_err_t produce(rd_kafka_t* handle, rd_kafka_topic_t* topic, NewRecord& record,
                            void* opaque) {
  rd_kafka_headers_t* headers = nullptr;
  if (!record.headers.empty()) headers = rd_kafka_headers_new(record.headers.size());
  for (const auto& [name, value] : record.headers) {
    rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()), value.data(),
                        static_cast<ssize_t>(value.size()));
  }
  const rd_kafka_resp_err_t err =
      rd_kafka_producev(handle, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_MSGFLAGS(0),
                        RD_KAFKA_V_KEY(record.key.data(), record.key.size()),
                        RD_KAFKA_V_VALUE(record.value.data(), record.value.size()),
                        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
  if (err != RD_KAFKA_RESP_ERR_NO_ERROR && headers != nullptr) rd_kafka_headers_destroy(headers);
  return err;
}

}  // namespace

// Which record of which batch a delivery report is about.
struct KafkaProducer::Slot {
  Batch* batch;
  size_t index;
};

// A batch on its way. librdkafka reads values where they lie, so it lives until the last report.
struct KafkaProducer::Batch {
  std::vector<NewRecord> records;
  AppendDone done;
  size_t bytes = 0;
  uint64_t number = 0;  // in the order in which they were handed over
  std::vector<Slot> slots;
  std::vector<Position> positions;
  std::atomic<size_t> waiting = 0;  // reports to come, and one for `append` while it is at it
  std::mutex mutex;
  Status failure;  // the first

  void fail(Status status) {
    const std::lock_guard lock(mutex);
    if (failure.is_ok()) failure = std::move(status);
  }
};

struct KafkaProducer::Connection {
  OwnedClient client;
  TopicHandle topic;  // goes before the client
};

KafkaProducer::KafkaProducer(const KafkaOptions& options, std::shared_ptr<KafkaWatch> watch)
    : options_(options), watch_(std::move(watch)), together_bytes_max_(kTogetherBytesMax) {}

Result<std::unique_ptr<KafkaProducer>> KafkaProducer::start(const KafkaOptions& options,
                                                            std::shared_ptr<KafkaWatch> watch) {
  std::unique_ptr<KafkaProducer> producer(new KafkaProducer(options, std::move(watch)));
  Result<std::unique_ptr<Connection>> connection = producer->connect();
  if (!connection) return connection.status();
  producer->connection_ = std::move(*connection);
  producer->thread_ = std::thread([raw = producer.get()] { raw->serve(); });
  return producer;
}

Result<std::unique_ptr<KafkaProducer::Connection>> KafkaProducer::connect() {
  KafkaHooks hooks;
  hooks.delivered = [this](const rd_kafka_message_t& message) { delivered(message); };
  hooks.fatal = [this](const std::string& why) {
    spdlog::warn("kafka: the producer is made anew: {}", why);
    broken_ = true;
  };
  Result<OwnedClient> client = KafkaClient::create(
      RD_KAFKA_PRODUCER, options_, properties_of(options_, together_bytes_max_), std::move(hooks));
  if (!client) return client.status();
  auto made = std::make_unique<Connection>();
  made->client = std::move(*client);
  made->topic.reset(rd_kafka_topic_new(made->client->handle(), options_.topic.c_str(), nullptr));
  if (!made->topic) return kafka_status(rd_kafka_last_error(), options_.topic);
  return made;
}

KafkaProducer::~KafkaProducer() {
  close();
}

Status KafkaProducer::admit(const Batch& batch) {
  const std::lock_guard lock(room_mutex_);
  Status room = check_room({options_.queue_bytes_max, options_.queue_records_max}, queued_,
                           {batch.bytes, batch.records.size()});
  if (!room.is_ok()) return room;
  queued_.bytes += batch.bytes;
  queued_.records += batch.records.size();
  return room;
}

void KafkaProducer::append(std::vector<NewRecord> batch, AppendDone done) {
  if (closed_) return done(Status(Code::kCancelled, "the log is closed"));
  if (batch.empty()) return done(std::vector<Position>());
  auto* made = new Batch;
  made->records = std::move(batch);
  made->done = std::move(done);
  made->bytes = batch_bytes(made->records);
  const Status admitted = admit(*made);
  if (!admitted.is_ok()) {
    made->done(admitted);
    delete made;
    return;
  }
  const size_t count = made->records.size();
  made->positions.resize(count);
  made->waiting = count + 1;
  for (size_t i = 0; i < count; ++i) made->slots.push_back({made, i});
  ++depth_;
  const Status sent = send(*made);
  if (!sent.is_ok()) made->fail(sent);
  answered(made);
}

Status KafkaProducer::send(Batch& batch) {
  const std::lock_guard lock(mutex_);
  size_t sent = 0;
  Status refused;
  if (closed_) refused = Status(Code::kCancelled, "the log is closed");
  batch.number = handed_over_++;
  if (refused.is_ok() && !connection_) {
    held_.push_back(&batch);
    return refused;
  }
  for (; refused.is_ok() && sent < batch.records.size(); ++sent) {
    const rd_kafka_resp_err_t err = produce(connection_->client->handle(), connection_->topic.get(),
                                            batch.records[sent], &batch.slots[sent]);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    refused = why(err, *connection_->client);
    break;
  }
  // Of what was not taken no report comes. `append` holds one more, so this is not the last.
  batch.waiting -= batch.records.size() - sent;
  return refused;
}

void KafkaProducer::delivered(const rd_kafka_message_t& message) {
  Slot& slot = *static_cast<Slot*>(message._private);
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    slot.batch->positions[slot.index] = {message.partition, message.offset};
  } else if (goes_again(message.err, slot)) {
    return again_.push_back(&slot);
  } else {
    slot.batch->fail(why(message.err, *served_->client));
  }
  answered(slot.batch);
}

// A topic's max.message.bytes is for all that goes in one request: a refusal says something of a
// record only where that was alone. Then what was behind it is taken back too, to stay behind it.
bool KafkaProducer::goes_again(rd_kafka_resp_err_t err, const Slot& slot) const {
  if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
    // librdkafka sends a record that is larger than its batch.size alone.
    return together_bytes_max_ > kTogetherBytesMin &&
           record_bytes(slot.batch->records[slot.index]) < together_bytes_max_;
  }
  return !again_.empty() &&
         (err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT);
}

// A record that no broker took says no more than that its time was up.
Status KafkaProducer::why(rd_kafka_resp_err_t err, KafkaClient& client) const {
  const Status away = watch_->away();
  if (err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && !away.is_ok()) return away;
  return client.why(err, options_.topic);
}

void KafkaProducer::answered(Batch* batch) {
  if (--batch->waiting > 0) return;
  const std::unique_ptr<Batch> last(batch);
  {
    const std::lock_guard lock(room_mutex_);
    queued_.bytes -= last->bytes;
    queued_.records -= last->records.size();
  }
  --depth_;
  if (!last->failure.is_ok()) return last->done(last->failure);
  watch_->heard();
  last->done(std::move(last->positions));
}

// The only thread that ever replaces the connection: it may use it without the lock.
void KafkaProducer::serve() {
  served_ = connection_.get();
  while (!closed_ || rd_kafka_outq_len(served_->client->handle()) > 0) {
    rd_kafka_poll(served_->client->handle(), kServeMs);
    if (broken_.exchange(false) || !again_.empty()) replace();
  }
}

// What a broken one still holds is answered as failed. One that put too much together is replaced
// by one that puts half as much, which gets all that the old one holds. What comes meanwhile is
// held and goes behind it.
void KafkaProducer::replace() {
  std::unique_ptr<Connection> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::move(connection_);
  }
  rd_kafka_t* handle = old->client->handle();
  rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  while (rd_kafka_outq_len(handle) > 0) rd_kafka_poll(handle, kServeMs);
  if (!again_.empty()) {
    together_bytes_max_ /= 2;
    spdlog::warn(
        "kafka topic {}: its max.message.bytes is lower than kafka.record_bytes_max (see `ca4 "
        "topics list`); at most {} bytes go together from now on",
        options_.topic, together_bytes_max_);
  }
  Result<std::unique_ptr<Connection>> made = connect();
  // The same was taken when the log was opened; only memory or descriptors can be lacking.
  while (!made && !closed_) {
    spdlog::error("kafka: no new producer yet: {}", made.status().message());
    std::unique_lock lock(mutex_);
    const std::vector<Slot*> unsent = take_unsent();
    lock.unlock();
    for (Slot* slot : unsent) {
      slot->batch->fail(made.status());
      answered(slot->batch);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kRetryMs));
    made = connect();
  }
  std::unique_lock lock(mutex_);
  connection_ = made ? std::move(*made) : std::move(old);
  served_ = connection_.get();
  std::vector<Batch*> refused;
  for (Slot* slot : take_unsent()) {
    const rd_kafka_resp_err_t err = produce(served_->client->handle(), served_->topic.get(),
                                            slot->batch->records[slot->index], slot);
    if (err == RD_KAFKA_RESP_ERR_NO_ERROR) continue;
    slot->batch->fail(why(err, *served_->client));
    refused.push_back(slot->batch);
  }
  lock.unlock();
  for (Batch* batch : refused) answered(batch);
}

// In the order in which they came.
std::vector<KafkaProducer::Slot*> KafkaProducer::take_unsent() {
  std::vector<Slot*> slots = std::exchange(again_, {});
  for (Batch* batch : std::exchange(held_, {})) {
    for (Slot& slot : batch->slots) slots.push_back(&slot);
  }
  std::sort(slots.begin(), slots.end(), [](const Slot* a, const Slot* b) {
    return std::pair(a->batch->number, a->index) < std::pair(b->batch->number, b->index);
  });
  return slots;
}

void KafkaProducer::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace ca4::log
