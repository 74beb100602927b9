#include "worker/transform.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>
#include <utility>

#include "event/json_text.h"
#include "event/traceparent.h"
#include "event/value_reader.h"
#include "log/wire_values.h"
#include "store/cosine.h"
#include "store/document_fields.h"

namespace ca4::worker {

namespace {

namespace od = simdjson::ondemand;

constexpr double kBytesPerGb = 1e9;
constexpr double kBytesPerMb = 1e6;
// Above any memory; also the largest double below 2^63, so that the cast is defined.
constexpr double kMemoryBytesMax = 9.2e18;

// Parses one JSON text after the other, and keeps its memory between them. One a thread.
class Scratch {
 public:
  // Good until the next one. Throws what simdjson does.
  od::document iterate(std::string_view json) {
    // After a giant it begins anew, so that one event does not cost a thread megabytes for good.
    constexpr size_t kKeptBytes = 1U << 20;
    if (padded_.capacity() > kKeptBytes) {
      padded_ = std::string();
      parser_ = od::parser();
    }
    padded_.assign(json).append(simdjson::SIMDJSON_PADDING, '\0');
    return parser_.iterate(padded_.data(), json.size(), padded_.size());
  }

 private:
  od::parser parser_;
  std::string padded_;
};

// What is wrong; none where nothing is.
using Wrong = std::optional<Failure>;

Failure wrong(std::string_view field, std::string_view why) {
  return {"transform", fmt::format("{}: {}", field, why), std::string(field)};
}

Failure wrong_type(std::string_view field, std::string_view expected) {
  return wrong(field, fmt::format("expected {}", expected));
}

std::optional<std::string> optional_string(od::value value) {
  std::string_view text;
  if (value.get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
  return std::string(text);
}

std::optional<double> optional_double(od::value value) {
  double number = 0;
  if (value.get_double().get(number) != simdjson::SUCCESS) return std::nullopt;
  return event::nearest_double(value.raw_json_token());
}

std::optional<int64_t> memory_bytes(od::value value, double bytes_per_unit) {
  const std::optional<double> amount = optional_double(value);
  if (!amount) return std::nullopt;
  const double bytes = std::round(*amount * bytes_per_unit);
  if (!(bytes >= 0 && bytes <= kMemoryBytesMax)) return std::nullopt;
  return static_cast<int64_t>(bytes);
}

std::optional<int64_t> optional_int(od::value value) {
  int64_t number = 0;
  if (value.get_int64().get(number) != simdjson::SUCCESS) return std::nullopt;
  return number;
}

std::optional<bool> optional_bool(od::value value) {
  bool flag = false;
  if (value.get_bool().get(flag) != simdjson::SUCCESS) return std::nullopt;
  return flag;
}

store::GpuInfo read_gpu(Scratch& scratch, const std::string& json) {
  store::GpuInfo gpu;
  od::document document = scratch.iterate(json);
  if (document.type() != od::json_type::object) return gpu;
  for (auto field : document.get_object()) {
    const std::string_view key = store::raw_key(field.key());
    od::value value = field.value();
    if (key == "available") gpu.available = optional_bool(value);
    if (key == "device") gpu.device = optional_string(value);
    if (key == "name") gpu.name = optional_string(value);
    if (key == "total_memory_gb") gpu.memory_total_bytes = memory_bytes(value, kBytesPerGb);
    if (key == "memory_allocated_mb") gpu.memory_allocated_bytes = memory_bytes(value, kBytesPerMb);
    if (key == "memory_reserved_mb") gpu.memory_reserved_bytes = memory_bytes(value, kBytesPerMb);
    if (key == "multi_processor_count") gpu.multi_processor_count = optional_int(value);
    if (key == "cuda_compute_capability") gpu.cuda_compute_capability = optional_string(value);
    if (key == "cuda_version") gpu.cuda_version = optional_string(value);
  }
  return gpu;
}

// All of the list or nothing of it: half a list of tags would look like a whole one.
std::vector<std::string> read_tags(od::value value) {
  std::vector<std::string> tags;
  if (value.type() != od::json_type::array) return tags;
  for (auto item : value.get_array()) {
    std::optional<std::string> tag = optional_string(item.value());
    if (!tag) return {};
    tags.push_back(std::move(*tag));
  }
  return tags;
}

void read_extra(Scratch& scratch, store::Document& document) {
  od::document extra = scratch.iterate(document.extra_json);
  for (auto field : extra.get_object()) {
    const std::string_view key = store::raw_key(field.key());
    od::value value = field.value();
    if (key == "pipeline") document.pipeline = optional_string(value).value_or("unknown");
    if (key == "tags") document.tags = read_tags(value);
  }
}

// One top-level field of the metadata into the document; what has no member of its own goes to
// other_json.
Wrong read_field(std::string_view key, od::value value, size_t dim, store::Document& document) {
  if (key == "metadata_id") return std::nullopt;  // the record's own copy is the one that counts
  if (key == "embedding_dim") {
    if (optional_int(value) == static_cast<int64_t>(dim)) return std::nullopt;
    return wrong_type(key, fmt::format("{}, the embedding's length", dim));
  }
  if (key == "gpu_hardware") {
    document.gpu_hardware_json = std::string(simdjson::to_json_string(value).value());
    return std::nullopt;
  }
  if (key == "extra") {
    if (value.type() != od::json_type::object) return wrong_type(key, "an object");
    document.extra_json = std::string(simdjson::to_json_string(value).value());
    return std::nullopt;
  }
  if (key == "timestamp") {
    document.timestamp = optional_double(value);
    return std::nullopt;
  }
  const std::pair<std::string_view, std::optional<std::string>*> texts[] = {
      {"source_uri", &document.source_uri},
      {"source_type", &document.source_type},
      {"model_name", &document.model_name},
      {"model_version", &document.model_version},
  };
  for (const auto& [name, target] : texts) {
    if (key != name) continue;
    *target = optional_string(value);
    if (!*target && value.type() != od::json_type::null) return wrong_type(key, "a string or null");
    return std::nullopt;
  }
  const std::string_view text = simdjson::to_json_string(value).value();
  document.other_json +=
      fmt::format("{}\"{}\":{}", document.other_json.size() > 1 ? "," : "", key, text);
  return std::nullopt;
}

Wrong read_meta(std::string_view meta_json, size_t dim, store::Document& document) {
  thread_local Scratch scratch;
  od::document meta = scratch.iterate(meta_json);
  document.gpu_hardware_json = "null";
  document.extra_json = R"({"pipeline":"unknown"})";
  document.other_json = "{";
  for (auto field : meta.get_object()) {
    const std::string_view key = store::raw_key(field.key());
    if (Wrong found = read_field(key, field.value(), dim, document)) return found;
  }
  document.other_json += '}';
  document.pipeline = "unknown";
  read_extra(scratch, document);
  document.gpu = read_gpu(scratch, document.gpu_hardware_json);
  return std::nullopt;
}

}  // namespace

bool transform(const event::EventView& event, const TransformContext& context,
               store::Document& document, Failure& failure) {
  const auto fail = [&failure](Failure why) {
    failure = std::move(why);
    return false;
  };
  if (event.metadata_id.empty()) return fail(wrong_type("metadata_id", "a non-empty string"));
  document = {};
  document.metadata_id = std::string(event.metadata_id);
  document.version = event.version;
  try {
    if (Wrong found = read_meta(event.meta_json, event.dim, document)) return fail(*found);
  } catch (const simdjson::simdjson_error& error) {
    return fail(
        wrong("metadata", fmt::format("not the JSON object that it should be: {}", error.what())));
  }
  document.embedding = event.embedding();
  if (document.embedding.empty()) return fail(wrong_type("embedding", "at least one number"));
  document.l2_norm = store::l2_norm(document.embedding);
  if (!std::isfinite(document.l2_norm)) return fail(wrong_type("embedding", "finite numbers only"));
  document.payload_hash = event::payload_hash(event);
  document.ingested_at_us = event.ingested_at_us;
  document.processed_at_us = context.processed_at_us;
  document.topic = context.topic;
  document.partition = context.partition;
  document.offset = context.offset;
  document.traceparent = context.traceparent;
  return true;
}

bool to_document(const log::Record& record, const std::string& topic, int64_t processed_at_us,
                 store::Document& document, Failure& failure) {
  thread_local event::ValueReader reader;  // its memory is worth keeping: megabytes a second
  const Result<event::EventView> event =
      reader.read(record.value, log::origin_of(record.headers, record.appended_at_us));
  if (!event) {
    failure = {"decode", event.status().message(), "unreadable"};
    return false;
  }
  TransformContext context{topic, record.position.partition, record.position.offset,
                           processed_at_us};
  const std::string* trace = log::find_header(record.headers, event::kTraceparent);
  if (trace != nullptr && event::is_traceparent(*trace)) context.traceparent = *trace;
  return transform(*event, context, document, failure);
}

}  // namespace ca4::worker
