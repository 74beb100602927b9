// The document store: one document a `metadata_id`, the last accepted version of it, searchable.
// All methods are thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::store {

// GPU details with one type and one unit each, from what the producer sent (`gpu_hardware` keeps
// that as it came).
struct GpuInfo {
  std::optional<bool> available;
  std::optional<std::string> device;  // "cuda", "cpu"
  std::optional<std::string> name;
  std::optional<int64_t> memory_total_bytes;
  std::optional<int64_t> memory_allocated_bytes;
  std::optional<int64_t> memory_reserved_bytes;
  std::optional<int64_t> multi_processor_count;
  std::optional<std::string> cuda_compute_capability;  // "9.0"
  std::optional<std::string> cuda_version;
};

inline constexpr int kSchemaVersion = 1;

// A transformed event, as stored. Names as in the wire contract ("Document"); what is beyond it is
// additive.
struct Document {
  std::string metadata_id;
  uint64_t version = 0;  // see event::Event::version
  std::optional<std::string> source_uri;
  std::string gpu_hardware_json;  // as sent; "null" when not given
  std::string extra_json;         // an object, with "pipeline"
  std::string other_json;         // object of unknown top-level fields, "{}" when none
  std::optional<std::string> source_type, model_name, model_version;
  std::optional<double> timestamp;         // Unix seconds, as sent
  std::string pipeline;                    // extra.pipeline
  std::vector<std::string> tags;           // extra.tags where it is a list of strings
  std::optional<std::string> traceparent;  // W3C trace context of the request that brought it
  GpuInfo gpu;
  std::vector<float> embedding;
  // The stored embedding's length where a document was found without its embedding; otherwise
  // `embedding.size()` counts and this is ignored.
  size_t embedding_dim = 0;
  double l2_norm = 0;
  std::string payload_hash;  // event::payload_hash
  int64_t ingested_at_us = 0;
  int64_t processed_at_us = 0;
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;
};

// The document as one compact JSON object, fields as the wire contract names them: metadata_id,
// source_uri, embedding_dim, gpu_hardware, extra, ingested_at (Unix seconds), topic, partition,
// offset; then the additive ones: pipeline, tags, gpu (typed), source_type, model_name,
// model_version, timestamp, traceparent, l2_norm, payload_hash, ingested_at_date and processed_at
// (RFC 3339), version, schema_version, unknown fields under their own names; `embedding` only when
// asked for. An unknown field whose name is one of ours is kept under "other" instead. Raw JSON
// members are spliced in as they are: who fills them answers for their being JSON.
std::string to_json(const Document& document, bool with_embedding);

// The document back from `to_json`, with its raw JSON members byte for byte (unknown fields: those
// under "other" last). kCorruption when it is no such object.
Result<Document> from_json(std::string_view json);

// Why no store can keep this document (no id, no embedding, text that is not UTF-8), or empty.
std::string unstorable_reason(const Document& document, std::string_view json);

enum class Outcome {
  kInserted,
  kUpdated,
  kStale,       // a newer version is already there: kept, this one ignored
  kUnchanged,   // this very version is already there (redelivery)
  kRetry,       // could not be written now
  kDeadLetter,  // can never be written (too large, invalid for this store)
};

struct UpsertResult {
  Outcome outcome = Outcome::kInserted;
  std::string reason;  // for kRetry and kDeadLetter
};

// All given conditions must hold. Times are of acceptance (ingested_at).
struct Filter {
  std::optional<std::string> metadata_id = {};
  std::optional<std::string> pipeline = {};
  std::optional<std::string> device = {};  // GPU name or device, case-insensitive substring
  std::optional<std::string> model = {};   // model_name, exact
  std::optional<int64_t> from_us = {};     // inclusive
  std::optional<int64_t> until_us = {};    // exclusive
};

struct FindOptions {
  size_t limit = 20;  // 0: no limit
  bool newest_first = true;
  bool with_embedding = false;
};

struct Neighbour {
  Document document;  // without embedding
  double cosine = 0;  // [-1, 1]
};

// Gives each found document; return false to stop.
using Visit = std::function<bool(const Document&)>;

class DocumentStore {
 public:
  virtual ~DocumentStore() = default;

  // Writes a batch; one result a document, in order. An error of the whole batch (store away) is a
  // failed Result and then nothing, some or all of it may be written: upserting it again is safe.
  // Durable on return. Within a batch the same id may come twice: the larger version wins.
  virtual Result<std::vector<UpsertResult>> upsert(std::span<const Document> batch) = 0;

  // Visits matching documents without holding them all in memory.
  virtual Status find(const Filter& filter, const FindOptions& options, const Visit& visit) = 0;

  virtual Result<uint64_t> count(const Filter& filter) = 0;

  // The k documents of the filter whose embeddings have the largest cosine with `query`, best
  // first; exact. Documents of another dimension are left out. kInvalidArgument when `query` is
  // empty or all zeros.
  virtual Result<std::vector<Neighbour>> similar(std::span<const float> query, size_t k,
                                                 const Filter& filter) = 0;

  // Names of the indexes that questions want and that are not there. A store that makes its own
  // has them all.
  virtual Result<std::vector<std::string>> missing_indexes() { return std::vector<std::string>(); }

  // Removes the document, whatever its version, durably; ok also when there is none. For tools that
  // clean up behind themselves: an event that is delivered again brings its document back.
  virtual Status remove(std::string_view metadata_id) = 0;

  // Ok when the store answers.
  virtual Status ping() = 0;
};

}  // namespace ca4::store
