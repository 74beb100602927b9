#include "config/table.h"

#include <fmt/format.h>

#include "config/address.h"
#include "config/forwards.h"

namespace ca4::config {
namespace {

Status refuse(std::string why) {
  return {Code::kInvalidArgument, std::move(why)};
}

Status check_given(std::string_view text) {
  return text.empty() ? refuse("must not be empty") : Status::ok();
}

Status check_address(std::string_view text) {
  return parse_address(text).status();
}

Status check_admin_address(std::string_view text) {
  return text == "none" ? Status::ok() : check_address(text);
}

Status check_url(std::string_view text) {
  const bool known = text.starts_with("http://") || text.starts_with("https://");
  const size_t host = text.find("://") + 3;
  if (known && host < text.size() && text[host] != '/') return Status::ok();
  return refuse("expected http://HOST:PORT or https://HOST:PORT");
}

Status check_brokers(std::string_view text) {
  if (text.empty()) return Status::ok();
  for (;;) {
    const size_t end = text.find(',');
    const Result<Address> address = parse_address(text.substr(0, end));
    if (!address || address->port == 0) return refuse("expected HOST:PORT[,HOST:PORT...]");
    if (end == std::string_view::npos) return Status::ok();
    text.remove_prefix(end + 1);
  }
}

// Kafka's rule for topic names; also a file name in the data directory.
Status check_topic(std::string_view text) {
  constexpr size_t kTopicBytesMax = 249;
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  const bool fits = !text.empty() && text.size() <= kTopicBytesMax && text != "." && text != "..";
  if (fits && text.find_first_not_of(kAllowed) == std::string_view::npos) return Status::ok();
  return refuse("expected 1 to 249 of A-Z a-z 0-9 . _ -");
}

// The embedded store's file is DATABASE.COLLECTION.db: a dot in the first would let two pairs of
// names be one file.
constexpr std::string_view kNameLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
constexpr size_t kNameBytesMax = 120;  // two, and SQLite's longest ending, fit a file name

bool is_name(std::string_view text, std::string_view letters) {
  return !text.empty() && text.size() <= kNameBytesMax && text[0] != '.' &&
         text.find_first_not_of(letters) == std::string_view::npos;
}

Status check_database(std::string_view text) {
  constexpr auto kNoDot = kNameLetters.substr(0, kNameLetters.size() - 1);
  if (is_name(text, kNoDot)) return Status::ok();
  return refuse(fmt::format("expected 1 to {} of A-Z a-z 0-9 _ -", kNameBytesMax));
}

Status check_collection(std::string_view text) {
  if (is_name(text, kNameLetters)) return Status::ok();
  return refuse(
      fmt::format("expected 1 to {} of A-Z a-z 0-9 . _ -, the first no dot", kNameBytesMax));
}

// Below it keys of ours begin; together they must stay under S3's 1024 bytes.
Status check_prefix(std::string_view text) {
  constexpr size_t kPrefixBytesMax = 256;
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=/-";
  const bool fits = text.size() <= kPrefixBytesMax && !text.starts_with('/') &&
                    !text.ends_with('/') && text.find("//") == std::string_view::npos;
  if (fits && text.find_first_not_of(kAllowed) == std::string_view::npos) return Status::ok();
  return refuse("expected up to 256 of A-Z a-z 0-9 . _ = - and single / between");
}

Status check_endpoint(std::string_view text) {
  return text.empty() ? Status::ok() : check_url(text);
}

constexpr std::string_view kAddressings[] = {"auto", "path", "virtual"};
constexpr std::string_view kEncryptions[] = {"bucket", "AES256", "aws:kms"};
Status check_forwards(std::string_view text) {
  return parse_forwards(text).status();
}

// What ssh and aws take as a host, a login name or an id, and never for an option.
Status check_word(std::string_view text) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:%";
  constexpr size_t kWordBytesMax = 253;
  if (!text.starts_with('-') && text.size() <= kWordBytesMax &&
      text.find_first_not_of(kAllowed) == std::string_view::npos) {
    return Status::ok();
  }
  return refuse("expected A-Z a-z 0-9 . _ - : %, the first no '-'");
}

// ssh has no way to write it.
Status check_ssh_file(std::string_view text) {
  return text.find('"') == std::string_view::npos ? Status::ok() : refuse("must not contain '\"'");
}

constexpr std::string_view kVias[] = {"ssh", "ssm"};
constexpr std::string_view kHostKeyCheckings[] = {"yes", "accept-new"};
constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warn", "error", "off"};
constexpr std::string_view kTunnels[] = {"none", "ngrok", "cloudflared"};
constexpr std::string_view kDevices[] = {"auto", "cpu", "cuda"};
constexpr std::string_view kFormats[] = {"text", "json"};
constexpr std::string_view kMongoEmbeddings[] = {"array", "vector", "none"};
constexpr std::string_view kMongoVectorSearches[] = {"scan", "atlas", "documentdb"};
constexpr std::string_view kProtocols[] = {"plaintext", "ssl", "sasl_plaintext", "sasl_ssl"};
constexpr std::string_view kMechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512",
                                            "AWS_MSK_IAM"};
constexpr std::string_view kValueFormats[] = {"json", "record"};
constexpr std::string_view kCompressions[] = {"none", "gzip", "snappy", "lz4", "zstd"};

constexpr int64_t kTiB = int64_t{1} << 40;
constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kCenturyS = 36'525 * kDayS;

#define CA4_FIELD(member) (+[](Settings& s) -> auto& { return s.member; })

// clang-format off: a row a setting
const Setting kTable[] = {
    {Section::kGeneral, "data_dir", "CA4_DATA_DIR", "--data-dir",
     "folder of the embedded log, store and archive; made when missing",
     Text{CA4_FIELD(data_dir), "DIR", check_given}},

    {Section::kProcessor, "listen", "CA4_PROCESSOR_LISTEN", "--listen",
     "address to serve HTTP on; port 0 takes any free one; IPv6 as [::1]:8000",
     Text{CA4_FIELD(processor.listen), "HOST:PORT", check_address}},
    {Section::kProcessor, "threads", "CA4_PROCESSOR_THREADS", "--threads",
     "event loops; 0: one a core",
     WholeNumber{CA4_FIELD(processor.threads), 0, 256, "threads"}},
    {Section::kProcessor, "token_file", "CA4_PROCESSOR_TOKEN_FILE", "--token-file",
     "bearer tokens that may write and read, one a line as `ca4 token new` makes them, read again on SIGHUP; empty: no token needed",
     Text{CA4_FIELD(processor.token_file), "FILE", nullptr}},
    {Section::kProcessor, "tls_cert_file", "CA4_PROCESSOR_TLS_CERT_FILE", "--tls-cert-file",
     "PEM certificate chain; with tls_key_file it turns HTTPS on; both are read again on SIGHUP",
     Text{CA4_FIELD(processor.tls_cert_file), "FILE", nullptr}},
    {Section::kProcessor, "tls_key_file", "CA4_PROCESSOR_TLS_KEY_FILE", "--tls-key-file",
     "PEM private key of tls_cert_file",
     Text{CA4_FIELD(processor.tls_key_file), "FILE", nullptr}},
    {Section::kProcessor, "header_bytes_max", "CA4_PROCESSOR_HEADER_BYTES_MAX", "--header-bytes-max",
     "largest request head, in bytes",
     WholeNumber{CA4_FIELD(processor.header_bytes_max), kKiB, kMiB, "bytes"}},
    {Section::kProcessor, "body_bytes_max", "CA4_PROCESSOR_BODY_BYTES_MAX", "--body-bytes-max",
     "largest request body as sent, in bytes",
     WholeNumber{CA4_FIELD(processor.body_bytes_max), kKiB, kGiB, "bytes"}},
    {Section::kProcessor, "inflated_bytes_max", "CA4_PROCESSOR_INFLATED_BYTES_MAX", "--inflated-bytes-max",
     "largest request body after gzip or zstd is undone, in bytes",
     WholeNumber{CA4_FIELD(processor.inflated_bytes_max), kKiB, kGiB, "bytes"}},
    {Section::kProcessor, "header_timeout_ms", "CA4_PROCESSOR_HEADER_TIMEOUT_MS", "--header-timeout-ms",
     "longest time from the first byte of a request to the end of its head, in milliseconds",
     WholeNumber{CA4_FIELD(processor.header_timeout_ms), 100, kHourMs, "ms"}},
    {Section::kProcessor, "idle_timeout_ms", "CA4_PROCESSOR_IDLE_TIMEOUT_MS", "--idle-timeout-ms",
     "how long a connection may be silent, in milliseconds",
     WholeNumber{CA4_FIELD(processor.idle_timeout_ms), 100, kHourMs, "ms"}},
    {Section::kProcessor, "connections_max", "CA4_PROCESSOR_CONNECTIONS_MAX", "--connections-max",
     "connections open at once; for a further one that which has waited for a request the longest, 5 s at least, is closed, else it is answered 503, with TLS closed unanswered; the limit of open files is raised for them",
     WholeNumber{CA4_FIELD(processor.connections_max), 1, 1'000'000, "connections"}},
    {Section::kProcessor, "batch_events_max", "CA4_PROCESSOR_BATCH_EVENTS_MAX", "--batch-events-max",
     "lines in one POST /metadata/batch",
     WholeNumber{CA4_FIELD(processor.batch_events_max), 1, 1'000'000, "events"}},
    {Section::kProcessor, "shutdown_grace_ms", "CA4_PROCESSOR_SHUTDOWN_GRACE_MS", "--shutdown-grace-ms",
     "how long requests in flight may take after SIGTERM, in milliseconds",
     WholeNumber{CA4_FIELD(processor.shutdown_grace_ms), 0, kHourMs, "ms"}},
    {Section::kProcessor, "metrics_auth", "CA4_PROCESSOR_METRICS_AUTH", "--metrics-auth",
     "ask for a token on /metrics too",
     Switch{CA4_FIELD(processor.metrics_auth)}},
    {Section::kProcessor, "model", "CA4_PROCESSOR_MODEL", "--model",
     "image model (ONNX) for the page's search by an image; empty: only by a stored document",
     Text{CA4_FIELD(processor.model), "FILE.onnx", nullptr}},
    {Section::kProcessor, "ort", "CA4_PROCESSOR_ORT", "--ort",
     "ONNX Runtime's shared library, for model; empty: look for it",
     Text{CA4_FIELD(processor.ort), "FILE.so", nullptr}},
    {Section::kProcessor, "media_root", "CA4_PROCESSOR_MEDIA_ROOT", "--media-root",
     "folder whose images the page may show, where a document's source_uri is in it; empty: none",
     Text{CA4_FIELD(processor.media_root), "DIR", nullptr}},
    {Section::kProcessor, "tunnel", "CA4_PROCESSOR_TUNNEL", "--tunnel",
     "agent to run for a public URL; without token_file it makes a token in DATA_DIR/tunnel-token",
     Choice{CA4_FIELD(processor.tunnel), kTunnels}},
    {Section::kProcessor, "tunnel_command", "CA4_PROCESSOR_TUNNEL_COMMAND", "--tunnel-command",
     "path of the tunnel's agent; empty: looked up in PATH",
     Text{CA4_FIELD(processor.tunnel_command), "FILE", nullptr}},
    {Section::kProcessor, "tunnel_domain", "CA4_PROCESSOR_TUNNEL_DOMAIN", "--tunnel-domain",
     "ngrok's name for the public URL that stays the same; empty: whatever it gives",
     Text{CA4_FIELD(processor.tunnel_domain), "NAME", nullptr}},

    {Section::kLog, "topic", "KAFKA_TOPIC", "--topic",
     "topic of the event log; dead letters go to TOPIC.dlq",
     Text{CA4_FIELD(log.topic), "TOPIC", check_topic}},
    {Section::kLog, "bytes_max", "CA4_LOG_BYTES_MAX", "--log-bytes-max",
     "size at which the log takes no more (503) until workers catch up, in bytes",
     WholeNumber{CA4_FIELD(log.bytes_max), kMiB, 64 * kTiB, "bytes"}},
    {Section::kLog, "retention_bytes", "CA4_LOG_RETENTION_BYTES", "--log-retention-bytes",
     "how much of what every group has read is kept, in bytes; 0: no limit by size",
     WholeNumber{CA4_FIELD(log.retention_bytes), 0, 64 * kTiB, "bytes"}},
    {Section::kLog, "retention_age_s", "CA4_LOG_RETENTION_AGE_S", "--log-retention-age-s",
     "how long what every group has read is kept, in seconds; 0: no limit by age",
     WholeNumber{CA4_FIELD(log.retention_age_s), 0, kCenturyS, "s"}},
    {Section::kLog, "queue_bytes_max", "CA4_LOG_QUEUE_BYTES_MAX", "--log-queue-bytes-max",
     "memory for appends that wait for the disk, in bytes; over it: 503",
     WholeNumber{CA4_FIELD(log.queue_bytes_max), kMiB, 64 * kGiB, "bytes"}},

    {Section::kKafka, "bootstrap", "KAFKA_BOOTSTRAP", "--kafka-bootstrap",
     "Kafka brokers, HOST:PORT[,HOST:PORT...]; empty: the embedded log",
     Text{CA4_FIELD(kafka.bootstrap), "HOST:PORT,...", check_brokers}},
    {Section::kKafka, "outbox", "CA4_KAFKA_OUTBOX", "--kafka-outbox",
     "let events wait on disk while Kafka is away; without it they are refused (503) then",
     Switch{CA4_FIELD(kafka.outbox)}},
    {Section::kKafka, "outbox_file", "KAFKA_OUTBOX_FILE", "--kafka-outbox-file",
     "the file in which they wait, one a processor; empty: DATA_DIR/outbox/TOPIC.db",
     Text{CA4_FIELD(kafka.outbox_file), "FILE", nullptr}},
    {Section::kKafka, "outbox_bytes_max", "CA4_KAFKA_OUTBOX_BYTES_MAX", "--kafka-outbox-bytes-max",
     "size at which the outbox takes no more (503) until Kafka is back, in bytes",
     WholeNumber{CA4_FIELD(kafka.outbox_bytes_max), kMiB, 64 * kTiB, "bytes"}},
    {Section::kKafka, "outbox_age_s_max", "CA4_KAFKA_OUTBOX_AGE_S_MAX", "--kafka-outbox-age-s-max",
     "age of the oldest event in the outbox from which on new ones are refused (503), in seconds; none is dropped; 0: no limit",
     WholeNumber{CA4_FIELD(kafka.outbox_age_s_max), 0, kCenturyS, "s"}},
    {Section::kKafka, "security_protocol", "CA4_KAFKA_SECURITY_PROTOCOL", "--kafka-security-protocol",
     "how to talk to the brokers: with TLS or without, with a log-in (sasl) or without",
     Choice{CA4_FIELD(kafka.security_protocol), kProtocols}},
    {Section::kKafka, "sasl_mechanism", "CA4_KAFKA_SASL_MECHANISM", "--kafka-sasl-mechanism",
     "how to log in, with sasl_plaintext and sasl_ssl; AWS_MSK_IAM: as an AWS identity, with sasl_ssl",
     Choice{CA4_FIELD(kafka.sasl_mechanism), kMechanisms}},
    {Section::kKafka, "username", "CA4_KAFKA_USERNAME", "--kafka-username",
     "who logs in, with PLAIN and SCRAM",
     Text{CA4_FIELD(kafka.username), "NAME", nullptr}},
    {Section::kKafka, "password_file", "CA4_KAFKA_PASSWORD_FILE", "--kafka-password-file",
     "file whose first line is that user's password",
     Text{CA4_FIELD(kafka.password_file), "FILE", nullptr}},
    {Section::kKafka, "ca_file", "CA4_KAFKA_CA_FILE", "--kafka-ca-file",
     "PEM certificates of the authorities that the brokers' certificates may come from; empty: the system's",
     Text{CA4_FIELD(kafka.ca_file), "FILE", nullptr}},
    {Section::kKafka, "cert_file", "CA4_KAFKA_CERT_FILE", "--kafka-cert-file",
     "PEM certificate chain of this client, for brokers that ask for one",
     Text{CA4_FIELD(kafka.cert_file), "FILE", nullptr}},
    {Section::kKafka, "key_file", "CA4_KAFKA_KEY_FILE", "--kafka-key-file",
     "PEM private key of cert_file",
     Text{CA4_FIELD(kafka.key_file), "FILE", nullptr}},
    {Section::kKafka, "aws_region", "CA4_KAFKA_AWS_REGION", "--kafka-aws-region",
     "region of the MSK cluster, for AWS_MSK_IAM; empty: AWS_REGION",
     Text{CA4_FIELD(kafka.aws_region), "REGION", nullptr}},
    {Section::kKafka, "broker_map", "CA4_KAFKA_BROKER_MAP", "--kafka-broker-map",
     "where brokers are reached instead of what they call themselves, ADVERTISED:PORT=HOST:PORT,...; * on the left: all others",
     Text{CA4_FIELD(kafka.broker_map), "MAP", nullptr}},
    {Section::kKafka, "value_format", "CA4_KAFKA_VALUE_FORMAT", "--kafka-value-format",
     "how events stand in the topic: JSON for every consumer, or CA4's binary record, a third of the size",
     Choice{CA4_FIELD(kafka.value_format), kValueFormats}},
    {Section::kKafka, "compression", "CA4_KAFKA_COMPRESSION", "--kafka-compression",
     "how requests to the brokers, and records on their disks, are compressed",
     Choice{CA4_FIELD(kafka.compression), kCompressions}},
    {Section::kKafka, "linger_ms", "CA4_KAFKA_LINGER_MS", "--kafka-linger-ms",
     "how long an event may wait for others to go in one request, in milliseconds",
     WholeNumber{CA4_FIELD(kafka.linger_ms), 0, 1000, "ms"}},
    {Section::kKafka, "delivery_timeout_ms", "CA4_KAFKA_DELIVERY_TIMEOUT_MS", "--kafka-delivery-timeout-ms",
     "how long the brokers may take to acknowledge an event, retries included, in milliseconds; then 503, or the outbox",
     WholeNumber{CA4_FIELD(kafka.delivery_timeout_ms), 1000, kHourMs, "ms"}},
    {Section::kKafka, "record_bytes_max", "CA4_KAFKA_RECORD_BYTES_MAX", "--kafka-record-bytes-max",
     "largest event in the topic, key and value, in bytes; over it 413",
     WholeNumber{CA4_FIELD(kafka.record_bytes_max), 64 * kKiB, 64 * kMiB, "bytes"}},
    {Section::kKafka, "session_timeout_ms", "CA4_KAFKA_SESSION_TIMEOUT_MS", "--kafka-session-timeout-ms",
     "how long a worker may be silent before others get its partitions, in milliseconds",
     WholeNumber{CA4_FIELD(kafka.session_timeout_ms), 6000, kHourMs / 2, "ms"}},
    {Section::kKafka, "partitions", "CA4_KAFKA_PARTITIONS", "--kafka-partitions",
     "partitions that `ca4 topics ensure` gives the topic: as many workers can share the work",
     WholeNumber{CA4_FIELD(kafka.partitions), 1, 1000, "partitions"}},
    {Section::kKafka, "replicas", "CA4_KAFKA_REPLICAS", "--kafka-replicas",
     "copies of each record that `ca4 topics ensure` asks for; 0: 3, or as many as there are brokers",
     WholeNumber{CA4_FIELD(kafka.replicas), 0, 16, "replicas"}},
    {Section::kKafka, "min_insync", "CA4_KAFKA_MIN_INSYNC", "--kafka-min-insync",
     "copies that must be written before an event is acknowledged; 0: one fewer than replicas, at least 1",
     WholeNumber{CA4_FIELD(kafka.min_insync), 0, 16, "replicas"}},

    {Section::kWorker, "batch_records_max", "CA4_WORKER_BATCH_RECORDS_MAX", "--worker-batch-records-max",
     "records the worker takes at once",
     WholeNumber{CA4_FIELD(worker.batch_records_max), 1, 100'000, "records"}},
    {Section::kWorker, "batch_bytes_max", "CA4_WORKER_BATCH_BYTES_MAX", "--worker-batch-bytes-max",
     "bytes the worker takes at once",
     WholeNumber{CA4_FIELD(worker.batch_bytes_max), 64 * kKiB, kGiB, "bytes"}},
    {Section::kWorker, "backoff_ms_max", "CA4_WORKER_BACKOFF_MS_MAX", "--worker-backoff-ms-max",
     "longest pause between tries while store or archive is away, in milliseconds",
     WholeNumber{CA4_FIELD(worker.backoff_ms_max), 10, kHourMs, "ms"}},

    {Section::kArchive, "enabled", "CA4_ARCHIVE_ENABLED", "--archive",
     "keep compressed NDJSON and float32 matrices under DATA_DIR/archive, or in s3_bucket",
     Switch{CA4_FIELD(archive.enabled)}},
    {Section::kArchive, "linger_ms", "CA4_ARCHIVE_LINGER_MS", "--archive-linger-ms",
     "how long an archive object may wait for more records, in milliseconds",
     WholeNumber{CA4_FIELD(archive.linger_ms), 0, 24 * kHourMs, "ms"}},
    {Section::kArchive, "records_max", "CA4_ARCHIVE_RECORDS_MAX", "--archive-records-max",
     "records in one archive object",
     WholeNumber{CA4_FIELD(archive.records_max), 1, 1'000'000, "records"}},
    {Section::kArchive, "s3_bucket", "CA4_ARCHIVE_S3_BUCKET", "--archive-s3-bucket",
     "S3 bucket of the archive; empty: the folder DATA_DIR/archive",
     Text{CA4_FIELD(archive.s3_bucket), "BUCKET", nullptr}},
    {Section::kArchive, "s3_prefix", "CA4_ARCHIVE_S3_PREFIX", "--archive-s3-prefix",
     "what stands before every key in the bucket, as ca4/prod; empty: nothing",
     Text{CA4_FIELD(archive.s3_prefix), "PREFIX", check_prefix}},
    {Section::kArchive, "s3_region", "CA4_ARCHIVE_S3_REGION", "--archive-s3-region",
     "region of the bucket; empty: AWS_REGION, the profile's, or the instance's",
     Text{CA4_FIELD(archive.s3_region), "REGION", nullptr}},
    {Section::kArchive, "s3_endpoint", "CA4_ARCHIVE_S3_ENDPOINT", "--archive-s3-endpoint",
     "another server that speaks S3, as https://HOST:PORT; empty: AWS",
     Text{CA4_FIELD(archive.s3_endpoint), "URL", check_endpoint}},
    {Section::kArchive, "s3_addressing", "CA4_ARCHIVE_S3_ADDRESSING", "--archive-s3-addressing",
     "where the bucket's name stands, in the path or in the host name (virtual); auto: in the host name if it can",
     Choice{CA4_FIELD(archive.s3_addressing), kAddressings}},
    {Section::kArchive, "s3_sse", "CA4_ARCHIVE_S3_SSE", "--archive-s3-sse",
     "encryption to ask the server for; bucket: whatever the bucket does by itself",
     Choice{CA4_FIELD(archive.s3_sse), kEncryptions}},
    {Section::kArchive, "s3_kms_key_id", "CA4_ARCHIVE_S3_KMS_KEY_ID", "--archive-s3-kms-key-id",
     "key for s3_sse = aws:kms; empty: the account's own",
     Text{CA4_FIELD(archive.s3_kms_key_id), "KEY", nullptr}},
    {Section::kArchive, "s3_profile", "CA4_ARCHIVE_S3_PROFILE", "--archive-s3-profile",
     "take the keys from this profile of ~/.aws alone; empty: environment, pod, profile, container, instance",
     Text{CA4_FIELD(archive.s3_profile), "NAME", nullptr}},
    {Section::kArchive, "s3_ca_file", "CA4_ARCHIVE_S3_CA_FILE", "--archive-s3-ca-file",
     "PEM file of the authorities to trust; empty: the system's",
     Text{CA4_FIELD(archive.s3_ca_file), "FILE", nullptr}},

    {Section::kStore, "database", "MONGO_DB", "--database",
     "database of the documents; the embedded store is the file DATABASE.COLLECTION.db",
     Text{CA4_FIELD(store.database), "NAME", check_database}},
    {Section::kStore, "collection", "MONGO_COLLECTION", "--collection",
     "collection of the documents",
     Text{CA4_FIELD(store.collection), "NAME", check_collection}},
    {Section::kStore, "mongo_uri", "MONGO_URI", "",
     "MongoDB connection string (its password is never printed); empty: the embedded store",
     Text{CA4_FIELD(store.mongo_uri), "URI", nullptr}},
    {Section::kStore, "mongo_ca_file", "CA4_STORE_MONGO_CA_FILE", "--mongo-ca-file",
     "PEM file of the CAs to trust, for DocumentDB its bundle; turns TLS on; empty: as the URI says, the system's CAs",
     Text{CA4_FIELD(store.mongo_ca_file), "FILE", nullptr}},
    {Section::kStore, "mongo_embedding", "CA4_STORE_MONGO_EMBEDDING", "--mongo-embedding",
     "how embeddings are stored: array of doubles, float32 vector (BSON binary subtype 9), or not at all",
     Choice{CA4_FIELD(store.mongo_embedding), kMongoEmbeddings}},
    {Section::kStore, "mongo_vector_search", "CA4_STORE_MONGO_VECTOR_SEARCH", "--mongo-vector-search",
     "who finds the nearest: this program by reading all, or the service's vector index",
     Choice{CA4_FIELD(store.mongo_vector_search), kMongoVectorSearches}},
    {Section::kStore, "mongo_vector_index", "CA4_STORE_MONGO_VECTOR_INDEX", "--mongo-vector-index",
     "name of Atlas' search index, with mongo_vector_search = atlas",
     Text{CA4_FIELD(store.mongo_vector_index), "NAME", check_given}},
    {Section::kStore, "mongo_connect_timeout_ms", "CA4_STORE_MONGO_CONNECT_TIMEOUT_MS", "--mongo-connect-timeout-ms",
     "longest time to connect, in milliseconds (connectTimeoutMS in the URI wins)",
     WholeNumber{CA4_FIELD(store.mongo_connect_timeout_ms), 100, kHourMs, "ms"}},
    {Section::kStore, "mongo_selection_timeout_ms", "CA4_STORE_MONGO_SELECTION_TIMEOUT_MS", "--mongo-selection-timeout-ms",
     "how long a request looks for a server that may take it, in milliseconds (serverSelectionTimeoutMS in the URI wins)",
     WholeNumber{CA4_FIELD(store.mongo_selection_timeout_ms), 100, kHourMs, "ms"}},
    {Section::kStore, "mongo_socket_timeout_ms", "CA4_STORE_MONGO_SOCKET_TIMEOUT_MS", "--mongo-socket-timeout-ms",
     "longest time to send a request or wait for its answer, in milliseconds (socketTimeoutMS in the URI wins)",
     WholeNumber{CA4_FIELD(store.mongo_socket_timeout_ms), 100, kHourMs, "ms"}},
    {Section::kStore, "mongo_write_timeout_ms", "CA4_STORE_MONGO_WRITE_TIMEOUT_MS", "--mongo-write-timeout-ms",
     "how long the server may wait for a majority to have a write, in milliseconds; then it is tried again",
     WholeNumber{CA4_FIELD(store.mongo_write_timeout_ms), 100, kHourMs, "ms"}},
    {Section::kStore, "mongo_connections_max", "CA4_STORE_MONGO_CONNECTIONS_MAX", "--mongo-connections-max",
     "requests to MongoDB at once (maxPoolSize in the URI wins)",
     WholeNumber{CA4_FIELD(store.mongo_connections_max), 1, 1000, "connections"}},

    {Section::kProducer, "endpoint", "CA4_PRODUCER_ENDPOINT", "--endpoint",
     "processor to send to",
     Text{CA4_FIELD(producer.endpoint), "URL", check_url}},
    {Section::kProducer, "model", "CA4_PRODUCER_MODEL", "--model",
     "image model, ONNX with one input",
     Text{CA4_FIELD(producer.model), "FILE.onnx", nullptr}},
    {Section::kProducer, "ort", "CA4_PRODUCER_ORT", "--ort",
     "ONNX Runtime's shared library; empty: look for it",
     Text{CA4_FIELD(producer.ort), "FILE.so", nullptr}},
    {Section::kProducer, "device", "CA4_PRODUCER_DEVICE", "--device",
     "what the model runs on; auto: the GPU where ONNX Runtime can use one",
     Choice{CA4_FIELD(producer.device), kDevices}},
    {Section::kProducer, "batch", "CA4_PRODUCER_BATCH", "--batch",
     "images the model gets at once",
     WholeNumber{CA4_FIELD(producer.batch), 1, 4096, "images"}},
    {Section::kProducer, "pipeline", "CA4_PRODUCER_PIPELINE", "--pipeline",
     "name of the pipeline the images belong to (extra.pipeline)",
     Text{CA4_FIELD(producer.pipeline), "NAME", check_given}},
    {Section::kProducer, "token_file", "CA4_PRODUCER_TOKEN_FILE", "--token-file",
     "file whose first line is the bearer token to send; empty: none",
     Text{CA4_FIELD(producer.token_file), "FILE", nullptr}},
    {Section::kProducer, "ca_file", "CA4_PRODUCER_CA_FILE", "--ca-file",
     "PEM certificates of the authorities that an https:// endpoint's certificate may come from, or a self-signed one itself; empty: the system's",
     Text{CA4_FIELD(producer.ca_file), "FILE", nullptr}},
    {Section::kProducer, "in_flight_max", "CA4_PRODUCER_IN_FLIGHT_MAX", "--in-flight-max",
     "requests sent and not answered yet",
     WholeNumber{CA4_FIELD(producer.in_flight_max), 1, 1024, "requests"}},
    {Section::kProducer, "retry_for_s", "CA4_PRODUCER_RETRY_FOR_S", "--retry-for-s",
     "how long an unanswered request is tried again, in seconds; 0: never",
     WholeNumber{CA4_FIELD(producer.retry_for_s), 0, 7 * kDayS, "s"}},

    {Section::kTunnel, "via", "CA4_TUNNEL_VIA", "--via",
     "how: the system's ssh to a bastion, or aws (AWS Systems Manager)",
     Choice{CA4_FIELD(tunnel.via), kVias}},
    {Section::kTunnel, "bastion", "CA4_TUNNEL_BASTION", "--bastion",
     "host to go through, as ssh takes it: a name, an address, or an alias of ~/.ssh/config",
     Text{CA4_FIELD(tunnel.bastion), "HOST", check_word}},
    {Section::kTunnel, "user", "CA4_TUNNEL_USER", "--bastion-user",
     "who to log in as; empty: as ssh does",
     Text{CA4_FIELD(tunnel.user), "NAME", check_word}},
    {Section::kTunnel, "port", "CA4_TUNNEL_PORT", "--bastion-port",
     "port of the bastion's sshd; 0: as ssh's configuration says, else 22",
     WholeNumber{CA4_FIELD(tunnel.port), 0, 65'535, "port"}},
    {Section::kTunnel, "key_file", "CA4_TUNNEL_KEY_FILE", "--bastion-key-file",
     "private key to log in with, and no other; empty: as ssh does, with its agent",
     Text{CA4_FIELD(tunnel.key_file), "FILE", check_ssh_file}},
    {Section::kTunnel, "known_hosts_file", "CA4_TUNNEL_KNOWN_HOSTS_FILE", "--known-hosts-file",
     "where the bastion's host key is; empty: ssh's own",
     Text{CA4_FIELD(tunnel.known_hosts_file), "FILE", check_ssh_file}},
    {Section::kTunnel, "host_key_checking", "CA4_TUNNEL_HOST_KEY_CHECKING", "--host-key-checking",
     "a bastion whose key is not known: yes refuses it, accept-new believes the first one; a changed key is always refused",
     Choice{CA4_FIELD(tunnel.host_key_checking), kHostKeyCheckings}},
    {Section::kTunnel, "forwards", "CA4_TUNNEL_FORWARDS", "--forwards",
     "ports to bring here, LOCAL:HOST:PORT[=PROBE] with commas; HOST as the bastion knows it; PROBE kafka, tls, tcp, http/PATH or https/PATH",
     Text{CA4_FIELD(tunnel.forwards), "LOCAL:HOST:PORT,...", check_forwards}},
    {Section::kTunnel, "ssm_target", "CA4_TUNNEL_SSM_TARGET", "--ssm-target",
     "instance to go through with via = \"ssm\", as i-0123456789abcdef0",
     Text{CA4_FIELD(tunnel.ssm_target), "ID", check_word}},
    {Section::kTunnel, "ssm_region", "CA4_TUNNEL_SSM_REGION", "--ssm-region",
     "its region; empty: as aws does",
     Text{CA4_FIELD(tunnel.ssm_region), "REGION", check_word}},
    {Section::kTunnel, "ssm_profile", "CA4_TUNNEL_SSM_PROFILE", "--ssm-profile",
     "profile of the AWS configuration; empty: as aws does",
     Text{CA4_FIELD(tunnel.ssm_profile), "NAME", check_word}},
    {Section::kTunnel, "connect_timeout_s", "CA4_TUNNEL_CONNECT_TIMEOUT_S", "--connect-timeout-s",
     "longest time until the bastion lets us in, in seconds",
     WholeNumber{CA4_FIELD(tunnel.connect_timeout_s), 1, 300, "s"}},
    {Section::kTunnel, "keepalive_interval_s", "CA4_TUNNEL_KEEPALIVE_INTERVAL_S", "--keepalive-interval-s",
     "pause between ssh's own questions to the bastion, in seconds; three unanswered end it",
     WholeNumber{CA4_FIELD(tunnel.keepalive_interval_s), 1, 3'600, "s"}},
    {Section::kTunnel, "check_interval_ms", "CA4_TUNNEL_CHECK_INTERVAL_MS", "--check-interval-ms",
     "pause between looks through the forwards, in milliseconds",
     WholeNumber{CA4_FIELD(tunnel.check_interval_ms), 100, kHourMs, "ms"}},
    {Section::kTunnel, "check_timeout_ms", "CA4_TUNNEL_CHECK_TIMEOUT_MS", "--check-timeout-ms",
     "longest wait for an answer through a forward, in milliseconds",
     WholeNumber{CA4_FIELD(tunnel.check_timeout_ms), 100, 60'000, "ms"}},
    {Section::kTunnel, "backoff_ms_max", "CA4_TUNNEL_BACKOFF_MS_MAX", "--tunnel-backoff-ms-max",
     "longest pause between tries while the bastion is away, in milliseconds",
     WholeNumber{CA4_FIELD(tunnel.backoff_ms_max), 100, kHourMs, "ms"}},

    {Section::kAdmin, "listen", "CA4_ADMIN_LISTEN", "--admin-listen",
     "address for /metrics, /livez, /readyz, /health, /log-level and /tap, left in DATA_DIR/admin (by produce where DATA_DIR is there); port 0 takes any free one; none: no such port",
     Text{CA4_FIELD(admin.listen), "HOST:PORT", check_admin_address}},
    {Section::kAdmin, "token_file", "CA4_ADMIN_TOKEN_FILE", "--admin-token-file",
     "bearer tokens for what shows data (scope read) or changes something (scope admin) there, as processor.token_file; empty: only a loopback address answers that",
     Text{CA4_FIELD(admin.token_file), "FILE", nullptr}},

    {Section::kLogging, "level", "CA4_LOGGING_LEVEL", "--log-level",
     "least severe message that is written to standard error",
     Choice{CA4_FIELD(logging.level), kLevels}},
    {Section::kLogging, "format", "CA4_LOGGING_FORMAT", "--log-format",
     "a readable line or a JSON object a message",
     Choice{CA4_FIELD(logging.format), kFormats}},
};
// clang-format on

#undef CA4_FIELD

struct SectionText {
  Section section;
  std::string_view name;
  std::string_view title;
};

constexpr SectionText kSections[] = {
    {Section::kGeneral, "", "General"},
    {Section::kProcessor, "processor", "Processor: the HTTP side"},
    {Section::kLog, "log", "Event log"},
    {Section::kKafka, "kafka", "Kafka: the event log in production"},
    {Section::kWorker, "worker", "Worker: from the log to the store"},
    {Section::kArchive, "archive", "Archive"},
    {Section::kStore, "store", "Document store"},
    {Section::kProducer, "producer", "Producer: from images to events"},
    {Section::kTunnel, "tunnel", "Tunnel: the way into a private network"},
    {Section::kAdmin, "admin", "Admin port: for probes, scrapers and operators"},
    {Section::kLogging, "logging", "Messages of the program"},
};

}  // namespace

std::string_view section_name(Section section) {
  return kSections[static_cast<size_t>(section)].name;
}

std::string_view section_title(Section section) {
  return kSections[static_cast<size_t>(section)].title;
}

std::string Setting::name() const {
  const std::string_view in = section_name(section);
  return in.empty() ? std::string(key) : fmt::format("{}.{}", in, key);
}

std::span<const Setting> table() {
  return kTable;
}

}  // namespace ca4::config
