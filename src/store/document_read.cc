#include <fmt/format.h>
#include <simdjson.h>

#include <cmath>

#include "base/clock.h"
#include "store/document_fields.h"
#include "store/document_store.h"

// simdjson reports through exceptions here; from_json, the only way in, turns them into a Status.
namespace ca4::store {
namespace {

namespace od = simdjson::ondemand;

std::string text(od::value value) {
  return std::string(value.get_string().value());
}

std::optional<std::string> text_or_null(od::value value) {
  if (value.type() == od::json_type::null) return std::nullopt;
  return text(value);
}

std::string raw(od::value value) {
  return std::string(simdjson::to_json_string(value).value());
}

double number(od::value value) {
  return value.type() == od::json_type::null ? std::nan("") : value.get_double().value();
}

int64_t date_us(od::value value) {
  const Result<int64_t> us = parse_rfc3339(value.get_string().value());
  return us ? *us : 0;
}

GpuInfo read_gpu(od::object object) {
  GpuInfo gpu;
  for (auto field : object) {
    const std::string_view key = raw_key(field.key());
    od::value value = field.value();
    if (key == "available") gpu.available = value.get_bool().value();
    if (key == "device") gpu.device = text(value);
    if (key == "name") gpu.name = text(value);
    if (key == "memory_total_bytes") gpu.memory_total_bytes = value.get_int64().value();
    if (key == "memory_allocated_bytes") gpu.memory_allocated_bytes = value.get_int64().value();
    if (key == "memory_reserved_bytes") gpu.memory_reserved_bytes = value.get_int64().value();
    if (key == "multi_processor_count") gpu.multi_processor_count = value.get_int64().value();
    if (key == "cuda_compute_capability") gpu.cuda_compute_capability = text(value);
    if (key == "cuda_version") gpu.cuda_version = text(value);
  }
  return gpu;
}

void append_member(std::string& object, std::string_view key, std::string_view json) {
  if (object.size() > 1) object += ',';
  fmt::format_to(std::back_inserter(object), "\"{}\":{}", key, json);
}

// Moves the members that "other" keeps apart behind the unknown fields found so far.
void append_members(std::string& object, std::string_view inner) {
  inner = inner.substr(1, inner.size() - 2);
  if (inner.empty()) return;
  if (object.size() > 1) object += ',';
  object += inner;
}

using ReadField = void (*)(od::value, Document&);

// One row a field; fields that only repeat others for readers of the JSON have no reader.
struct FieldReader {
  std::string_view name;
  ReadField read;
};

constexpr FieldReader kReaders[] = {
    {"metadata_id", [](od::value v, Document& d) { d.metadata_id = text(v); }},
    {"source_uri", [](od::value v, Document& d) { d.source_uri = text_or_null(v); }},
    {"embedding_dim", [](od::value v, Document& d) { d.embedding_dim = v.get_uint64().value(); }},
    {"gpu_hardware", [](od::value v, Document& d) { d.gpu_hardware_json = raw(v); }},
    {"extra", [](od::value v, Document& d) { d.extra_json = raw(v); }},
    {"ingested_at",
     [](od::value v, Document& d) { d.ingested_at_us = std::llround(v.get_double() * 1e6); }},
    {"topic", [](od::value v, Document& d) { d.topic = text(v); }},
    {"partition",
     [](od::value v, Document& d) { d.partition = static_cast<int32_t>(v.get_int64().value()); }},
    {"offset", [](od::value v, Document& d) { d.offset = v.get_int64().value(); }},
    {"pipeline", [](od::value v, Document& d) { d.pipeline = text(v); }},
    {"tags",
     [](od::value v, Document& d) {
       for (auto tag : v.get_array()) d.tags.push_back(text(tag.value()));
     }},
    {"gpu", [](od::value v, Document& d) { d.gpu = read_gpu(v.get_object().value()); }},
    {"source_type", [](od::value v, Document& d) { d.source_type = text(v); }},
    {"model_name", [](od::value v, Document& d) { d.model_name = text(v); }},
    {"model_version", [](od::value v, Document& d) { d.model_version = text(v); }},
    {"timestamp", [](od::value v, Document& d) { d.timestamp = number(v); }},
    {"traceparent", [](od::value v, Document& d) { d.traceparent = text(v); }},
    {"l2_norm", [](od::value v, Document& d) { d.l2_norm = number(v); }},
    {"payload_hash", [](od::value v, Document& d) { d.payload_hash = text(v); }},
    {"processed_at", [](od::value v, Document& d) { d.processed_at_us = date_us(v); }},
    {"version", [](od::value v, Document& d) { d.version = v.get_uint64().value(); }},
    {"other", [](od::value v, Document& d) { append_members(d.other_json, raw(v)); }},
    {"embedding",
     [](od::value v, Document& d) {
       for (auto x : v.get_array()) {
         d.embedding.push_back(static_cast<float>(x.get_double().value()));
       }
     }},
};

void read_field(std::string_view key, od::value value, Document& document) {
  for (const FieldReader& reader : kReaders) {
    if (reader.name == key) return reader.read(value, document);
  }
  if (is_document_field(key)) return;
  append_member(document.other_json, key, simdjson::to_json_string(value).value());
}

}  // namespace

Result<Document> from_json(std::string_view json) {
  Document document;
  document.other_json = "{";
  try {
    od::parser parser;
    const simdjson::padded_string padded(json);
    od::document parsed = parser.iterate(padded);
    for (auto field : parsed.get_object()) {
      read_field(raw_key(field.key()), field.value(), document);
    }
    if (parsed.current_location().error() != simdjson::OUT_OF_BOUNDS) {
      return Status(Code::kCorruption, "document: text after its end");
    }
  } catch (const simdjson::simdjson_error& error) {
    return Status(Code::kCorruption, fmt::format("document: not as it was written: {}",
                                                 simdjson::error_message(error.error())));
  }
  if (document.metadata_id.empty()) return Status(Code::kCorruption, "document: no metadata_id");
  document.other_json += '}';
  return document;
}

}  // namespace ca4::store
