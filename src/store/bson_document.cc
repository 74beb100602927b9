#include "store/bson_document.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "store/cosine.h"
#include "store/document_fields.h"

namespace ca4::store {
namespace {

static_assert(std::endian::native == std::endian::little, "BSON is little-endian, as memory is");

// Elements of a BSON array of doubles: a type byte, the index as text, a zero byte, the double.
constexpr char kDoubleType = BSON_TYPE_DOUBLE;
constexpr size_t kDoubleBytes = sizeof(double);
constexpr size_t kHeadBytes = sizeof(int32_t);
// A type byte, an index of six digits and a zero byte; longer arrays are larger than a document.
constexpr size_t kNameBytesCopied = 8;

// Writes the fields of one BSON document. Text is checked for UTF-8 as it passes.
class FieldWriter {
 public:
  explicit FieldWriter(bson_t& to) : to_(to) {}

  void text(std::string_view name, std::string_view value) {
    valid_utf8_ = valid_utf8_ && simdjson::validate_utf8(value.data(), value.size());
    bson_append_utf8(&to_, name.data(), size(name), value.data(), static_cast<int>(value.size()));
  }
  void text_if(std::string_view name, const std::optional<std::string>& value) {
    if (value) text(name, *value);
  }
  void null(std::string_view name) { bson_append_null(&to_, name.data(), size(name)); }
  void flag(std::string_view name, bool value) {
    bson_append_bool(&to_, name.data(), size(name), value);
  }
  void int32(std::string_view name, int32_t value) {
    bson_append_int32(&to_, name.data(), size(name), value);
  }
  void int64(std::string_view name, int64_t value) {
    bson_append_int64(&to_, name.data(), size(name), value);
  }
  void int64_if(std::string_view name, const std::optional<int64_t>& value) {
    if (value) int64(name, *value);
  }
  void number(std::string_view name, double value) {
    bson_append_double(&to_, name.data(), size(name), value);
  }
  // BSON dates count milliseconds.
  void date(std::string_view name, int64_t us) {
    const int64_t ms = us / 1000 - (us % 1000 < 0 ? 1 : 0);
    bson_append_date_time(&to_, name.data(), size(name), ms);
  }
  void texts(std::string_view name, const std::vector<std::string>& values) {
    bson_t array;
    bson_append_array_begin(&to_, name.data(), size(name), &array);
    FieldWriter elements(array);
    for (size_t i = 0; i < values.size(); ++i) elements.text(std::to_string(i), values[i]);
    bson_append_array_end(&to_, &array);
    valid_utf8_ = valid_utf8_ && elements.valid_utf8_;
  }
  void gpu(const GpuInfo& gpu) {
    bson_t document;
    bson_append_document_begin(&to_, "gpu", -1, &document);
    FieldWriter fields(document);
    if (gpu.available) fields.flag("available", *gpu.available);
    fields.text_if("device", gpu.device);
    fields.text_if("name", gpu.name);
    fields.int64_if("memory_total_bytes", gpu.memory_total_bytes);
    fields.int64_if("memory_allocated_bytes", gpu.memory_allocated_bytes);
    fields.int64_if("memory_reserved_bytes", gpu.memory_reserved_bytes);
    fields.int64_if("multi_processor_count", gpu.multi_processor_count);
    fields.text_if("cuda_compute_capability", gpu.cuda_compute_capability);
    fields.text_if("cuda_version", gpu.cuda_version);
    bson_append_document_end(&to_, &document);
    valid_utf8_ = valid_utf8_ && fields.valid_utf8_;
  }

  bool valid_utf8() const { return valid_utf8_; }

 private:
  static int size(std::string_view name) { return static_cast<int>(name.size()); }

  bson_t& to_;
  bool valid_utf8_ = true;
};

// An array of `dim` zeros as BSON has it.
std::string zeros(size_t dim) {
  std::string array(kHeadBytes, '\0');
  array.reserve(kHeadBytes + dim * (1 + 6 + kDoubleBytes) + 1);
  for (size_t i = 0; i < dim; ++i) {
    array += kDoubleType;
    array += std::to_string(i);
    array.append(1 + kDoubleBytes, '\0');
  }
  array += '\0';
  const auto bytes = static_cast<int32_t>(array.size());
  std::memcpy(array.data(), &bytes, sizeof bytes);
  return array;
}

}  // namespace

Status BsonEncoder::encode(const Document& document, bson_t& to) {
  if (document.metadata_id.empty()) return {Code::kInvalidArgument, "metadata_id: empty"};
  if (document.embedding.empty()) return {Code::kInvalidArgument, "embedding: empty"};
  bson_reinit(&to);
  if (Status bad = append_members(to, document); !bad.is_ok()) return bad;
  if (Status bad = append_embedding(to, document.embedding); !bad.is_ok()) return bad;
  if (to.len <= kBsonDocumentBytesMax) return Status::ok();
  return {Code::kTooLarge, fmt::format("{} bytes as a MongoDB document, more than {}", to.len,
                                       kBsonDocumentBytesMax)};
}

// `_id` first, where the server would move it to.
Status BsonEncoder::append_members(bson_t& to, const Document& document) {
  FieldWriter fields(to);
  fields.text("_id", document.metadata_id);
  fields.text("metadata_id", document.metadata_id);
  if (document.source_uri) {
    fields.text("source_uri", *document.source_uri);
  } else {
    fields.null("source_uri");
  }
  fields.int32("embedding_dim", static_cast<int32_t>(document.embedding.size()));
  const auto json_or = [](const std::string& json, const char* empty) {
    return json.empty() ? std::string_view(empty) : std::string_view(json);
  };
  Status bad = json_.append(to, "gpu_hardware", json_or(document.gpu_hardware_json, "null"));
  if (!bad.is_ok()) return bad;
  bad = json_.append(to, "extra", json_or(document.extra_json, "{}"));
  if (!bad.is_ok()) return bad;
  fields.number("ingested_at", static_cast<double>(document.ingested_at_us) / 1e6);
  fields.text("topic", document.topic);
  fields.int32("partition", document.partition);
  fields.int64("offset", document.offset);
  fields.text("pipeline", document.pipeline);
  fields.texts("tags", document.tags);
  fields.gpu(document.gpu);
  fields.text_if("source_type", document.source_type);
  fields.text_if("model_name", document.model_name);
  fields.text_if("model_version", document.model_version);
  if (document.timestamp) fields.number("timestamp", *document.timestamp);
  fields.text_if("traceparent", document.traceparent);
  fields.number("l2_norm", document.l2_norm);
  fields.text("payload_hash", document.payload_hash);
  fields.date("ingested_at_date", document.ingested_at_us);
  fields.date("processed_at", document.processed_at_us);
  fields.int64("processed_at_us", document.processed_at_us);
  fields.int64("version", static_cast<int64_t>(document.version));
  fields.int32("schema_version", kSchemaVersion);
  if (!fields.valid_utf8()) return {Code::kInvalidArgument, "text that is not UTF-8"};
  return append_other(to, document.other_json);
}

// Unknown fields under their own names, those that would shadow ours under "other".
Status BsonEncoder::append_other(bson_t& to, const std::string& other_json) {
  if (other_json.empty() || other_json == "{}") return Status::ok();
  bool any_shadows = false;
  Status bad = json_.append_members(to, other_json, [&](std::string_view name) {
    any_shadows = any_shadows || is_document_field(name);
    return !is_document_field(name);
  });
  if (!bad.is_ok() || !any_shadows) return bad;
  bson_t other;
  bson_append_document_begin(&to, "other", -1, &other);
  bad = json_.append_members(other, other_json, is_document_field);
  bson_append_document_end(&to, &other);
  return bad;
}

Status BsonEncoder::append_embedding(bson_t& to, std::span<const float> embedding) {
  if (form_ == MongoEmbedding::kArray) return append_doubles(to, embedding);
  if (form_ == MongoEmbedding::kVector) {
    array_.assign(kVectorHead).append(as_bytes(embedding));
    bson_append_binary(&to, "embedding", -1, static_cast<bson_subtype_t>(kVectorSubtype),
                       reinterpret_cast<const uint8_t*>(array_.data()),
                       static_cast<uint32_t>(array_.size()));
  }
  return Status::ok();
}

// bson_append_double writes a name and looks for room 2048 times. Every array of one length differs
// in the doubles only, so that the names come from the last one; all is written once, in place.
Status BsonEncoder::append_doubles(bson_t& to, std::span<const float> embedding) {
  if (array_dim_ != embedding.size()) {
    array_ = zeros(embedding.size());
    array_dim_ = embedding.size();
  }
  constexpr std::string_view kHead("\4embedding\0", 11);
  static_assert(kHead[0] == BSON_TYPE_ARRAY);
  const size_t from = to.len - 1;  // where the document's last byte stands, a zero
  uint8_t* const document =
      bson_reserve_buffer(&to, static_cast<uint32_t>(to.len + kHead.size() + array_.size()));
  if (document == nullptr) return {Code::kTooLarge, "more than libbson takes"};
  std::memcpy(document, &to.len, sizeof to.len);
  auto* out = reinterpret_cast<char*>(document) + from;
  out = std::copy_n(kHead.data(), kHead.size(), out);
  const char* names = array_.data();
  out = std::copy_n(names, kHeadBytes, out);
  names += kHeadBytes;
  size_t i = 0;
  size_t digits = 1;
  for (size_t next_power = 10; i < embedding.size(); next_power *= 10, ++digits) {
    const size_t end = std::min(embedding.size(), next_power);
    const size_t head_bytes = 1 + digits + 1;
    for (; i < end; ++i) {
      const auto value = static_cast<double>(embedding[i]);
      std::memcpy(out, names, kNameBytesCopied);
      std::memcpy(out + head_bytes, &value, sizeof value);
      out += head_bytes + kDoubleBytes;
      names += head_bytes + kDoubleBytes;
    }
  }
  out[0] = '\0';  // ends the array
  out[1] = '\0';  // ends the document
  return Status::ok();
}

}  // namespace ca4::store
