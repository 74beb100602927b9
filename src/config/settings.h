// Every setting of CA4, as plain values. A member's initialiser is its default, with the reason
// beside it; names of keys, variables and flags, limits and help texts are in table.cc.
#pragma once

#include <cstdint>
#include <string>

namespace ca4::config {

inline constexpr int64_t kKiB = 1 << 10;
inline constexpr int64_t kMiB = 1 << 20;
inline constexpr int64_t kGiB = 1 << 30;
inline constexpr int64_t kDayS = 86'400;

struct Processor {
  // Loopback: nobody else reaches a laptop's pipeline unless told so. 8000 is the wire contract's.
  std::string listen = "127.0.0.1:8000";
  int64_t threads = 0;  // 0: one a core; an event loop has nothing to wait for
  std::string token_file;
  std::string tls_cert_file;
  std::string tls_key_file;
  int64_t header_bytes_max = 16 * kKiB;  // a bearer token of 8 KiB and as much again
  // A batch of 256 embeddings of 2048 floats as Python prints them (42 kB each) is 11 MiB.
  int64_t body_bytes_max = 16 * kMiB;
  // Floats as text shrink about threefold; fourfold leaves room and still bounds a zip bomb.
  int64_t inflated_bytes_max = 64 * kMiB;
  int64_t header_timeout_ms = 10'000;  // several round trips of a bad mobile link
  int64_t idle_timeout_ms = 75'000;    // above the 60 s of common load balancers, so they hang up
  int64_t connections_max = 4096;      // below the usual hard limit of descriptors, 1,000s idle fit
  int64_t batch_events_max = 1024;     // keeps one batch from holding the log for more than ~50 ms
  int64_t shutdown_grace_ms = 10'000;  // well inside the 30 s Kubernetes gives before SIGKILL
  bool metrics_auth = false;           // scrapers rarely carry tokens; no secrets in metrics
  std::string model;
  std::string ort;
  std::string media_root;
  std::string tunnel = "none";  // nobody outside, unless told so
  std::string tunnel_command;
  std::string tunnel_domain;
};

struct Log {
  std::string topic = "gpu-metadata";   // the wire contract's
  int64_t bytes_max = 8 * kGiB;         // about a million events of 2048 floats; then 503, no drop
  int64_t retention_bytes = 0;          // 0: what workers have read goes by age alone
  int64_t retention_age_s = 7 * kDayS;  // a week: time to notice and to replay
  int64_t queue_bytes_max = 64 * kMiB;  // 64 clients with a batch of 64 large events each
};

struct Kafka {
  std::string bootstrap;
  bool outbox = true;  // a broker that is away for an hour should cost nobody an event
  std::string outbox_file;
  // As of the log: about a million events of 2048 floats; then 503, no drop.
  int64_t outbox_bytes_max = 8 * kGiB;
  int64_t outbox_age_s_max = 0;  // 0: an event that is late is worth more than one refused
  std::string security_protocol = "plaintext";   // what a tunnel or a pod network needs
  std::string sasl_mechanism = "SCRAM-SHA-512";  // the strongest that needs no more than a password
  std::string username;
  std::string password_file;
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string aws_region;
  std::string broker_map;
  std::string value_format = "json";  // the wire contract's
  std::string compression = "zstd";   // JSON of floats to less than half
  int64_t linger_ms = 2;              // fills requests under load, and is not felt otherwise
  // Soon enough for the outbox or the client's own retries, past the planned change of a leader.
  int64_t delivery_timeout_ms = 5'000;
  int64_t record_bytes_max = 16 * kMiB;  // an event that fits a request body fits a record
  // A lost worker's share is idle that long, and all of them after a broker's restart: the least
  // that brokers take.
  int64_t session_timeout_ms = 6'000;
  int64_t partitions = 6;  // as many workers may share the work; few for small brokers
  int64_t replicas = 0;    // what is safe depends on the cluster
  int64_t min_insync = 0;
};

struct Worker {
  int64_t batch_records_max = 512;     // where SQLite's cost a row stops falling
  int64_t batch_bytes_max = 8 * kMiB;  // 512 records of 2048 floats are 5 MiB
  int64_t backoff_ms_max = 30'000;     // a store that is back is used within half a minute
};

struct Archive {
  bool enabled = true;
  int64_t linger_ms = 60'000;   // a file a minute at low rates: few small files, little held back
  int64_t records_max = 4'096;  // 32 MiB of 2048 floats an object
  std::string s3_bucket;
  std::string s3_prefix;
  std::string s3_region;
  std::string s3_endpoint;
  // What AWS recommends where a host name can carry the bucket, and else what works.
  std::string s3_addressing = "auto";
  std::string s3_sse = "bucket";  // S3 encrypts by itself, with what the bucket's owner chose
  std::string s3_kms_key_id;
  std::string s3_profile;
  std::string s3_ca_file;
};

struct Store {
  std::string database = "ca4";             // the wire contract's
  std::string collection = "gpu_metadata";  // the wire contract's
  std::string mongo_uri;
  std::string mongo_ca_file;
  std::string mongo_embedding = "array";     // what every consumer and every vector index reads
  std::string mongo_vector_search = "scan";  // exact, and needs no index
  std::string mongo_vector_index = "ca4_embedding";
  int64_t mongo_connect_timeout_ms = 5'000;     // a lost first packet is sent again after 1 and 3 s
  int64_t mongo_selection_timeout_ms = 10'000;  // an election takes up to ten seconds
  // 4 MiB, one message of upserts, in a second and a half at 25 Mbit/s: a slow uplink gets through.
  // Below the 30 s that Kubernetes gives before SIGKILL, since a stop waits for the answer.
  int64_t mongo_socket_timeout_ms = 20'000;
  int64_t mongo_write_timeout_ms =
      10'000;                         // below the socket's: the server's own answer comes first
  int64_t mongo_connections_max = 8;  // the worker, the page's two searches, and room
};

struct Producer {
  std::string endpoint = "http://127.0.0.1:8000";
  std::string model;
  std::string ort;
  std::string device = "auto";
  int64_t batch = 8;  // speed is flat from here on a CPU; memory is not
  std::string pipeline = "unknown";
  std::string token_file;
  std::string ca_file;
  int64_t in_flight_max = 4;   // hides a round trip of 100 ms without burying a slow server
  int64_t retry_for_s = 1800;  // outlives ten minutes without a tunnel
};

struct Tunnel {
  std::string via = "ssh";
  std::string bastion;
  std::string user;
  int64_t port = 0;  // 0: what ssh's own configuration says, else 22
  std::string key_file;
  std::string known_hosts_file;
  // A bastion whose key nobody compared could be anybody's, and Kafka behind it is often plain.
  std::string host_key_checking = "yes";
  std::string forwards = "9092:kafka:9092,16443:k3s-api:6443,3000:grafana:3000";  // the contract's
  std::string ssm_target;
  std::string ssm_region;
  std::string ssm_profile;
  int64_t connect_timeout_s = 10;    // several round trips of a bad link, and a key exchange
  int64_t keepalive_interval_s = 5;  // three unanswered: a dead link is given up in 15 s
  int64_t check_interval_ms = 5'000;
  int64_t check_timeout_ms = 3'000;  // a healthy answer takes a round trip or two
  int64_t backoff_ms_max = 30'000;   // a bastion that is back is used within half a minute
};

struct Admin {
  // A port of its own on loopback: nobody else reaches it, and no two processes get in each other's
  // way.
  std::string listen = "127.0.0.1:0";
  std::string token_file;
};

struct Logging {
  std::string level = "info";
  std::string format = "text";
};

struct Settings {
  std::string data_dir = "ca4-data";
  Processor processor;
  Log log;
  Kafka kafka;
  Worker worker;
  Archive archive;
  Store store;
  Producer producer;
  Tunnel tunnel;
  Admin admin;
  Logging logging;
};

}  // namespace ca4::config
