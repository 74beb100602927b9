#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <cmath>

#include "base/clock.h"
#include "event/json_text.h"
#include "store/document_fields.h"
#include "store/document_store.h"

namespace ca4::store {
namespace {

// Writes the members of one JSON object. Strings must be UTF-8; nothing else is escaped than what
// RFC 8259 section 7 demands.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  void close() { out_ += '}'; }

  void raw(std::string_view key, std::string_view json) {
    name(key);
    out_ += json;
  }
  void text(std::string_view key, std::string_view value) {
    name(key);
    event::append_json_string(out_, value);
  }
  void text_or_null(std::string_view key, const std::optional<std::string>& value) {
    if (value) return text(key, *value);
    raw(key, "null");
  }
  void text_if(std::string_view key, const std::optional<std::string>& value) {
    if (value) text(key, *value);
  }
  template <class Integer>
  void integer(std::string_view key, Integer value) {
    name(key);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void integer_if(std::string_view key, const std::optional<int64_t>& value) {
    if (value) integer(key, *value);
  }
  // The shortest text that reads back to the same double; JSON has no NaN and no infinity.
  void number(std::string_view key, double value) {
    if (!std::isfinite(value)) return raw(key, "null");
    name(key);
    fmt::format_to(std::back_inserter(out_), "{}", value);
  }
  void seconds(std::string_view key, int64_t us) {
    name(key);
    out_ += unix_seconds_text(us);
  }
  void texts(std::string_view key, const std::vector<std::string>& values) {
    name(key);
    out_ += '[';
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      event::append_json_string(out_, values[i]);
    }
    out_ += ']';
  }
  void floats(std::string_view key, const std::vector<float>& values) {
    name(key);
    out_ += '[';
    char digits[32];
    for (size_t i = 0; i < values.size(); ++i) {
      if (i > 0) out_ += ',';
      const auto end = std::to_chars(digits, digits + sizeof digits, values[i]).ptr;
      out_.append(digits, end);
    }
    out_ += ']';
  }
  void name(std::string_view key) {
    if (out_.back() != '{') out_ += ',';
    out_ += '"';
    out_ += key;  // our own names need no escapes; those of others come escaped
    out_ += "\":";
  }

 private:
  std::string& out_;
};

void write_gpu(const GpuInfo& gpu, ObjectWriter& object, std::string& out) {
  object.name("gpu");
  ObjectWriter members(out);
  if (gpu.available) members.raw("available", *gpu.available ? "true" : "false");
  members.text_if("device", gpu.device);
  members.text_if("name", gpu.name);
  members.integer_if("memory_total_bytes", gpu.memory_total_bytes);
  members.integer_if("memory_allocated_bytes", gpu.memory_allocated_bytes);
  members.integer_if("memory_reserved_bytes", gpu.memory_reserved_bytes);
  members.integer_if("multi_processor_count", gpu.multi_processor_count);
  members.text_if("cuda_compute_capability", gpu.cuda_compute_capability);
  members.text_if("cuda_version", gpu.cuda_version);
  members.close();
}

// Unknown fields: under their own names, those that would shadow ours under "other". What can't be
// read as an object is left out; it never came from an accepted event.
void write_other(const std::string& other_json, ObjectWriter& object) {
  if (other_json.empty() || other_json == "{}") return;
  std::string shadowing;
  ObjectWriter inner(shadowing);
  simdjson::ondemand::parser parser;
  const simdjson::padded_string padded(other_json);
  try {
    simdjson::ondemand::document document = parser.iterate(padded);
    for (auto field : document.get_object()) {
      const std::string_view key = raw_key(field.key());
      const bool ours = is_document_field(field.unescaped_key().value());
      (ours ? inner : object).raw(key, simdjson::to_json_string(field.value()).value());
    }
  } catch (const simdjson::simdjson_error&) {
    return;
  }
  if (shadowing.size() > 1) object.raw("other", shadowing + "}");
}

}  // namespace

std::string to_json(const Document& document, bool with_embedding) {
  const size_t dim =
      document.embedding.empty() ? document.embedding_dim : document.embedding.size();
  std::string out;
  // Our own fields with their names take about 700 bytes; a float as text about 12.
  out.reserve(900 + document.gpu_hardware_json.size() + document.extra_json.size() +
              document.other_json.size() + (with_embedding ? 12 * dim : 0));
  ObjectWriter object(out);
  object.text("metadata_id", document.metadata_id);
  object.text_or_null("source_uri", document.source_uri);
  object.integer("embedding_dim", dim);
  object.raw("gpu_hardware",
             document.gpu_hardware_json.empty() ? "null" : document.gpu_hardware_json);
  object.raw("extra", document.extra_json.empty() ? "{}" : document.extra_json);
  object.seconds("ingested_at", document.ingested_at_us);
  object.text("topic", document.topic);
  object.integer("partition", document.partition);
  object.integer("offset", document.offset);
  object.text("pipeline", document.pipeline);
  object.texts("tags", document.tags);
  write_gpu(document.gpu, object, out);
  object.text_if("source_type", document.source_type);
  object.text_if("model_name", document.model_name);
  object.text_if("model_version", document.model_version);
  if (document.timestamp) object.number("timestamp", *document.timestamp);
  object.text_if("traceparent", document.traceparent);
  object.number("l2_norm", document.l2_norm);
  object.text("payload_hash", document.payload_hash);
  object.text("ingested_at_date", format_rfc3339(document.ingested_at_us));
  object.text("processed_at", format_rfc3339(document.processed_at_us));
  object.integer("version", document.version);
  object.integer("schema_version", kSchemaVersion);
  write_other(document.other_json, object);
  if (with_embedding) object.floats("embedding", document.embedding);
  object.close();
  return out;
}

std::string unstorable_reason(const Document& document, std::string_view json) {
  if (document.metadata_id.empty()) return "metadata_id: empty";
  if (document.embedding.empty()) return "embedding: empty";
  if (!simdjson::validate_utf8(json.data(), json.size())) return "text that is not UTF-8";
  return {};
}

}  // namespace ca4::store
