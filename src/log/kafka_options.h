// How a Kafka log reaches its brokers and what it may use.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "log/broker_map.h"

namespace ca4::log {

// A bearer token for SASL OAUTHBEARER.
struct OauthToken {
  std::string token;
  int64_t expires_at_ms = 0;  // Unix time
  std::string principal;      // who it is for; brokers that look into the token ignore it
};

// Gives a fresh token whenever one is needed: before the first connection and again when most of
// the last one's life is over. Called from threads of librdkafka, maybe from several at once; may
// take a few seconds.
using OauthTokenSource = std::function<Result<OauthToken>()>;

struct KafkaSecurity {
  std::string protocol = "plaintext";  // or ssl, sasl_plaintext, sasl_ssl
  std::string mechanism;  // with sasl_*: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER
  std::string username;
  std::string password;
  OauthTokenSource token_source;  // for OAUTHBEARER
  std::string ca_file;            // PEM; empty: the system's authorities
  std::string cert_file;          // PEM, of this client, with key_file; empty: none
  std::string key_file;
};

struct KafkaOptions {
  std::string bootstrap;  // HOST:PORT[,HOST:PORT...]
  std::string topic;
  KafkaSecurity security;
  BrokerMap broker_map;

  // A log that only reads asks brokers for no right to write.
  bool appends = true;
  // Whether the program's messages say that the brokers are away and back. Of several logs on the
  // same brokers one is enough.
  bool tells_outages = true;
  std::string compression = "zstd";  // or lz4, gzip, snappy, none
  // How long a record may wait for others that go with it in one request, in milliseconds. A batch
  // costs broker and producer about the same whatever it holds; while requests are in flight
  // records gather anyway, so this need only bridge the moments in between.
  int64_t linger_ms = 2;
  // From `append` to the answer, retries included. Short, so that whoever stands in front (an
  // outbox, a client with retries of its own) takes over soon; above the second or two that brokers
  // take for the planned change of a leader.
  int64_t delivery_timeout_ms = 5'000;
  // Appends that are not answered yet, keys, values and headers; over it kOverloaded.
  size_t queue_bytes_max = 64U << 20;
  size_t queue_records_max = 100'000;
  // Largest key + value; over it kTooLarge. The topic must allow as much: max.message.bytes.
  size_t record_bytes_max = 16U << 20;

  // How long a consumer may be silent before its partitions go to others, in milliseconds. A broker
  // that was restarted waits as long for the members it remembers before it lets new ones read.
  // Brokers take nothing below 6 s by default.
  int64_t session_timeout_ms = 6'000;
};

}  // namespace ca4::log
