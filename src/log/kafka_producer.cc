#include "log/kafka_producer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "log/append_queue.h"
#include "log/kafka_error.h"

namespace ca4::log {
namespace {

constexpr int kServeMs = 100;  // how late the serving thread may see that it is to end

// Room beside key and value for headers and what librdkafka counts as its own.
constexpr size_t kRecordOverheadBytes = 64U << 10;
constexpr int kRetryMs = 1'000;

KafkaProperties properties_of(const KafkaOptions& options) {
  // Our own limits are the ones that bite: librdkafka's stand behind them, with room to spare.
  const size_t queue_kbytes = 2 * (options.queue_bytes_max >> 10) + (64U << 10);
  return {
      {"enable.idempotence", "true"},
      {"acks", "all"},
      {"max.in.flight.requests.per.connection", "5"},  // the most that keeps order and idempotence
      {"compression.codec", options.compression},
      {"linger.ms", std::to_string(options.linger_ms)},
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
    : options_(options), watch_(std::move(watch)) {}

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
  Result<OwnedClient> client =
      KafkaClient::create(RD_KAFKA_PRODUCER, options_, properties_of(options_), std::move(hooks));
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
  if (batch.bytes > options_.queue_bytes_max || batch.records.size() > options_.queue_records_max) {
    return {Code::kTooLarge, "the batch is larger than the queue to the brokers may be"};
  }
  // Taken first and given back: two that come at once never both fit into room for one.
  const size_t bytes = queued_bytes_ += batch.bytes;
  const size_t records = queued_records_ += batch.records.size();
  if (bytes <= options_.queue_bytes_max && records <= options_.queue_records_max) {
    return Status::ok();
  }
  queued_bytes_ -= batch.bytes;
  queued_records_ -= batch.records.size();
  return {Code::kOverloaded, fmt::format("kafka topic {}: {} bytes wait for the brokers",
                                         options_.topic, queued_bytes_.load())};
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
  if (!connection_) refused = Status(Code::kUnavailable, "the producer is being made anew");
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
  const Slot& slot = *static_cast<const Slot*>(message._private);
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    slot.batch->positions[slot.index] = {message.partition, message.offset};
  } else {
    slot.batch->fail(why(message.err, *served_->client));
  }
  answered(slot.batch);
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
  queued_bytes_ -= last->bytes;
  queued_records_ -= last->records.size();
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
    if (broken_.exchange(false)) replace();
  }
}

// What the broken one still holds is answered as failed; nothing new comes to it meanwhile.
void KafkaProducer::replace() {
  std::unique_ptr<Connection> old;
  {
    const std::lock_guard lock(mutex_);
    old = std::move(connection_);
  }
  rd_kafka_t* handle = old->client->handle();
  rd_kafka_purge(handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  while (rd_kafka_outq_len(handle) > 0) rd_kafka_poll(handle, kServeMs);
  Result<std::unique_ptr<Connection>> made = connect();
  // The same was taken when the log was opened; only memory or descriptors can be lacking.
  while (!made && !closed_) {
    spdlog::error("kafka: no new producer yet: {}", made.status().message());
    std::this_thread::sleep_for(std::chrono::milliseconds(kRetryMs));
    made = connect();
  }
  const std::lock_guard lock(mutex_);
  connection_ = made ? std::move(*made) : std::move(old);
  served_ = connection_.get();
}

void KafkaProducer::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace ca4::log
