// The floors that `ca4 work` is compared with, with the libraries that the product uses:
//   drain BROKERS TOPIC EVENTS                 librdkafka hands out what is in the topic; nothing
//                                              is done with it
//   drain BROKERS TOPIC EVENTS MONGO_URI DB    and its numbers go as an array of doubles, with the
//                                              id, into one document each, by bulk inserts
// Values are JSON or records, as `ca4 serve` writes them. No check, no field but these two, nothing
// remembered, no retry. One thread beside those of the libraries. Prints one JSON object: events,
// and what they took from the first one on.
#include <librdkafka/rdkafka.h>
#include <mongoc/mongoc.h>
#include <simdjson.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "documents.h"
#include "event/event.h"

namespace {

using ca4::bench::cpu_seconds;
using ca4::bench::must;
using ca4::bench::wall_seconds;

constexpr size_t kPollMessages = 512;
constexpr int kPollMs = 1'000;
// 4 MiB a message of the wire protocol, as the worker has.
constexpr size_t kInsertDocuments = 150;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "drain: %s\n", why.c_str());
  std::exit(1);
}

// The BSON array of as many doubles as there are numbers, all of whose bytes but the doubles' stay.
class Doubles {
 public:
  void start(size_t count) {
    if (count_ == count) return;
    count_ = count;
    bytes_.assign(sizeof(int32_t), '\0');
    for (size_t i = 0; i < count; ++i) {
      bytes_ += static_cast<char>(BSON_TYPE_DOUBLE);
      bytes_ += std::to_string(i);
      bytes_ += '\0';
      if (places_.size() == i) places_.push_back(bytes_.size());
      bytes_.append(sizeof(double), '\0');
    }
    bytes_ += '\0';
    const auto size = static_cast<int32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);
  }
  void set(size_t i, double value) {
    std::memcpy(bytes_.data() + places_[i], &value, sizeof value);
  }
  size_t count() const { return count_; }
  std::string_view bytes() const { return bytes_; }

 private:
  size_t count_ = 0;
  std::string bytes_;
  std::vector<size_t> places_;
};

class Writer {
 public:
  Writer(const char* uri, const char* database) {
    mongoc_init();
    client_ = mongoc_client_new(uri);
    if (client_ == nullptr) fail("not a MongoDB URI");
    collection_ = mongoc_client_get_collection(client_, database, "gpu_metadata");
  }

  void add(const rd_kafka_message_t& message) {
    const std::string_view value(static_cast<const char*>(message.payload), message.len);
    if (value.starts_with('{')) {
      read_json(value);
    } else {
      read_record(value);
    }
    bson_t* const document = bson_sized_new(numbers_.bytes().size() + 128);
    bson_append_utf8(document, "_id", 3, static_cast<const char*>(message.key),
                     static_cast<int>(message.key_len));
    bson_t array;
    bson_init_static(&array, reinterpret_cast<const uint8_t*>(numbers_.bytes().data()),
                     numbers_.bytes().size());
    bson_append_array(document, "embedding", 9, &array);
    documents_[count_++] = document;
    if (count_ == kInsertDocuments) flush();
  }

  void flush() {
    if (count_ == 0) return;
    bson_t options;
    bson_init(&options);
    BSON_APPEND_BOOL(&options, "ordered", false);
    BSON_APPEND_BOOL(&options, "validate", false);
    bson_error_t error;
    if (!mongoc_collection_insert_many(collection_, documents_, count_, &options, nullptr,
                                       &error)) {
      fail(error.message);
    }
    bson_destroy(&options);
    while (count_ > 0) bson_destroy(const_cast<bson_t*>(documents_[--count_]));
  }

 private:
  void read_json(std::string_view value) {
    padded_.resize(value.size() + simdjson::SIMDJSON_PADDING);
    std::memcpy(padded_.data(), value.data(), value.size());
    simdjson::ondemand::document document =
        parser_.iterate(padded_.data(), value.size(), padded_.size());
    // The length stands in front of the numbers.
    const auto dim = static_cast<size_t>(uint64_t(document["embedding_dim"]));
    numbers_.start(dim);
    size_t i = 0;
    for (double number : document["embedding"].get_array()) numbers_.set(i++, number);
    if (i != dim) fail("embedding_dim is not the length");
  }

  void read_record(std::string_view value) {
    const ca4::event::EventView event = must(ca4::event::decode(value));
    numbers_.start(event.dim);
    for (size_t i = 0; i < event.dim; ++i) {
      float number = 0;
      std::memcpy(&number, event.embedding_bytes.data() + i * sizeof number, sizeof number);
      numbers_.set(i, static_cast<double>(number));
    }
  }

  mongoc_client_t* client_ = nullptr;
  mongoc_collection_t* collection_ = nullptr;
  simdjson::ondemand::parser parser_;
  std::vector<char> padded_;
  Doubles numbers_;
  const bson_t* documents_[kInsertDocuments] = {};
  size_t count_ = 0;
};

rd_kafka_t* subscribe(const char* brokers, const char* topic) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char why[512];
  const std::string group = "drain-" + std::to_string(getpid());
  for (const auto& [name, value] : {std::pair("bootstrap.servers", brokers),
                                    {"group.id", group.c_str()},
                                    {"auto.offset.reset", "earliest"}}) {
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) fail(why);
  }
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
  if (client == nullptr) fail(why);
  rd_kafka_poll_set_consumer(client);
  rd_kafka_topic_partition_list_t* topics = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
  if (rd_kafka_subscribe(client, topics) != RD_KAFKA_RESP_ERR_NO_ERROR) fail("subscribe");
  rd_kafka_topic_partition_list_destroy(topics);
  return client;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 && argc != 6) {
    std::fprintf(stderr, "usage: drain BROKERS TOPIC EVENTS [MONGO_URI DB]\n");
    return 2;
  }
  rd_kafka_t* const client = subscribe(argv[1], argv[2]);
  const size_t wanted = std::stoul(argv[3]);
  std::unique_ptr<Writer> writer;
  if (argc == 6) writer = std::make_unique<Writer>(argv[4], argv[5]);
  rd_kafka_queue_t* const queue = rd_kafka_queue_get_consumer(client);
  std::vector<rd_kafka_message_t*> messages(kPollMessages);
  size_t events = 0;
  double began_cpu = 0;
  double began_wall = 0;
  while (events < wanted) {
    const ssize_t got =
        rd_kafka_consume_batch_queue(queue, kPollMs, messages.data(), kPollMessages);
    for (ssize_t i = 0; i < got; ++i) {
      const rd_kafka_message_t& message = *messages[static_cast<size_t>(i)];
      if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (events++ == 0) {
          began_cpu = cpu_seconds();
          began_wall = wall_seconds();
        }
        if (writer) writer->add(message);
      }
      rd_kafka_message_destroy(messages[static_cast<size_t>(i)]);
    }
  }
  if (writer) writer->flush();
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  fmt::print("{{\"events\": {}, \"seconds\": {:.3f}, \"cpu_seconds\": {:.3f}, \"peak_mib\": {}}}\n",
             events, wall_seconds() - began_wall, cpu_seconds() - began_cpu, use.ru_maxrss / 1024);
  // Leaving the group and the threads' end are nobody's business here.
  std::fflush(stdout);
  _exit(0);
}
