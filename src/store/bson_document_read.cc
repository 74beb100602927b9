#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "event/json_text.h"
#include "store/bson_document.h"
#include "store/document_fields.h"

namespace ca4::store {
namespace {

void read_text(const bson_iter_t& at, std::string& into) {
  if (!BSON_ITER_HOLDS_UTF8(&at)) return;
  uint32_t size = 0;
  const char* const text = bson_iter_utf8(&at, &size);
  into.assign(text, size);
}

void read_text(const bson_iter_t& at, std::optional<std::string>& into) {
  if (BSON_ITER_HOLDS_UTF8(&at)) read_text(at, into.emplace());
}

void read_number(const bson_iter_t& at, std::optional<double>& into) {
  if (BSON_ITER_HOLDS_NUMBER(&at)) into = bson_iter_as_double(&at);
}

template <class Integer>
void read_integer(const bson_iter_t& at, Integer& into) {
  if (BSON_ITER_HOLDS_INT(&at)) into = static_cast<Integer>(bson_iter_as_int64(&at));
}

void read_integer(const bson_iter_t& at, std::optional<int64_t>& into) {
  if (BSON_ITER_HOLDS_INT(&at)) into = bson_iter_as_int64(&at);
}

std::string json_of(const bson_iter_t& at) {
  std::string json;
  append_json(json, at);
  return json;
}

template <class Read>
void for_each_member(const bson_iter_t& at, const Read& read) {
  bson_iter_t member;
  if (!BSON_ITER_HOLDS_DOCUMENT(&at) && !BSON_ITER_HOLDS_ARRAY(&at)) return;
  if (!bson_iter_recurse(&at, &member)) return;
  while (bson_iter_next(&member)) read(std::string_view(bson_iter_key(&member)), member);
}

void read_gpu(const bson_iter_t& at, GpuInfo& gpu) {
  for_each_member(at, [&gpu](std::string_view name, const bson_iter_t& member) {
    if (name == "available" && BSON_ITER_HOLDS_BOOL(&member))
      gpu.available = bson_iter_bool(&member);
    if (name == "device") read_text(member, gpu.device);
    if (name == "name") read_text(member, gpu.name);
    if (name == "memory_total_bytes") read_integer(member, gpu.memory_total_bytes);
    if (name == "memory_allocated_bytes") read_integer(member, gpu.memory_allocated_bytes);
    if (name == "memory_reserved_bytes") read_integer(member, gpu.memory_reserved_bytes);
    if (name == "multi_processor_count") read_integer(member, gpu.multi_processor_count);
    if (name == "cuda_compute_capability") read_text(member, gpu.cuda_compute_capability);
    if (name == "cuda_version") read_text(member, gpu.cuda_version);
  });
}

// Unix seconds, or a date.
void read_time(const bson_iter_t& at, int64_t& us) {
  if (BSON_ITER_HOLDS_DATE_TIME(&at)) us = bson_iter_date_time(&at) * 1000;
  if (BSON_ITER_HOLDS_NUMBER(&at)) us = std::llround(bson_iter_as_double(&at) * 1e6);
}

void append_member(std::string& object, std::string_view name, const bson_iter_t& at) {
  if (object.size() > 1) object += ',';
  event::append_json_string(object, decode_field_name(name));
  object += ':';
  append_json(object, at);
}

using ReadField = void (*)(const bson_iter_t&, Document&);

// One row a field; fields that only repeat others have no reader.
struct FieldReader {
  std::string_view name;
  ReadField read;
};

using At = const bson_iter_t&;
constexpr FieldReader kReaders[] = {
    {"metadata_id", [](At at, Document& d) { read_text(at, d.metadata_id); }},
    {"source_uri", [](At at, Document& d) { read_text(at, d.source_uri); }},
    {"embedding_dim", [](At at, Document& d) { read_integer(at, d.embedding_dim); }},
    {"gpu_hardware", [](At at, Document& d) { d.gpu_hardware_json = json_of(at); }},
    {"extra", [](At at, Document& d) { d.extra_json = json_of(at); }},
    {"ingested_at", [](At at, Document& d) { read_time(at, d.ingested_at_us); }},
    {"topic", [](At at, Document& d) { read_text(at, d.topic); }},
    {"partition", [](At at, Document& d) { read_integer(at, d.partition); }},
    {"offset", [](At at, Document& d) { read_integer(at, d.offset); }},
    {"pipeline", [](At at, Document& d) { read_text(at, d.pipeline); }},
    {"tags",
     [](At at, Document& d) {
       for_each_member(at,
                       [&d](std::string_view, At tag) { read_text(tag, d.tags.emplace_back()); });
     }},
    {"gpu", [](At at, Document& d) { read_gpu(at, d.gpu); }},
    {"source_type", [](At at, Document& d) { read_text(at, d.source_type); }},
    {"model_name", [](At at, Document& d) { read_text(at, d.model_name); }},
    {"model_version", [](At at, Document& d) { read_text(at, d.model_version); }},
    {"traceparent", [](At at, Document& d) { read_text(at, d.traceparent); }},
    {"timestamp", [](At at, Document& d) { read_number(at, d.timestamp); }},
    {"l2_norm", [](At at, Document& d) { d.l2_norm = bson_iter_as_double(&at); }},
    {"payload_hash", [](At at, Document& d) { read_text(at, d.payload_hash); }},
    {"processed_at_us", [](At at, Document& d) { read_integer(at, d.processed_at_us); }},
    {"version", [](At at, Document& d) { read_integer(at, d.version); }},
    {"other",
     [](At at, Document& d) {
       for_each_member(at, [&d](std::string_view name, At member) {
         append_member(d.other_json, name, member);
       });
     }},
    {"embedding", [](At at, Document& d) { read_embedding(at, d.embedding); }},
};

void read_field(const bson_iter_t& at, Document& document) {
  const std::string_view name = bson_iter_key(&at);
  for (const FieldReader& reader : kReaders) {
    if (reader.name == name) return reader.read(at, document);
  }
  if (!is_document_field(name)) append_member(document.other_json, name, at);
}

// An array as BsonEncoder writes it, without libbson's checks of each of its names: a tenth of the
// time. False when anything in it is another.
bool read_doubles(const uint8_t* data, size_t size, std::vector<float>& floats) {
  const uint8_t* at = data + sizeof(int32_t);
  const uint8_t* const end = data + size - 1;  // where the array's own zero byte stands
  size_t digits = 1;
  size_t next_power = 10;
  for (size_t i = 0; at < end; ++i) {
    if (i == next_power) {
      next_power *= 10;
      ++digits;
    }
    const size_t bytes = 1 + digits + 1 + sizeof(double);
    const bool fits = static_cast<size_t>(end - at) >= bytes && at[0] == BSON_TYPE_DOUBLE &&
                      at[1] >= '0' && at[1] <= '9' && at[1 + digits] == 0;
    if (!fits) return false;
    double value = 0;
    std::memcpy(&value, at + 1 + digits + 1, sizeof value);
    floats.push_back(static_cast<float>(value));
    at += bytes;
  }
  return true;
}

bool read_array(const bson_iter_t& at, std::vector<float>& floats) {
  uint32_t size = 0;
  const uint8_t* data = nullptr;
  bson_iter_array(&at, &size, &data);
  const size_t before = floats.size();
  floats.reserve(before + size / (1 + 4 + 1 + sizeof(double)));
  if (size > sizeof(int32_t) && read_doubles(data, size, floats)) return true;
  floats.resize(before);
  bson_iter_t element;
  if (!bson_iter_recurse(&at, &element)) return false;
  while (bson_iter_next(&element)) {
    if (!BSON_ITER_HOLDS_NUMBER(&element)) return false;
    floats.push_back(static_cast<float>(bson_iter_as_double(&element)));
  }
  return true;
}

bool read_vector(const bson_iter_t& at, std::vector<float>& floats) {
  bson_subtype_t subtype{};
  uint32_t size = 0;
  const uint8_t* data = nullptr;
  bson_iter_binary(&at, &subtype, &size, &data);
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (static_cast<int>(subtype) != kVectorSubtype || !bytes.starts_with(kVectorHead)) return false;
  if ((size - kVectorHead.size()) % sizeof(float) != 0) return false;
  const size_t before = floats.size();
  floats.resize(before + (size - kVectorHead.size()) / sizeof(float));
  std::memcpy(floats.data() + before, data + kVectorHead.size(), size - kVectorHead.size());
  return true;
}

}  // namespace

bool read_embedding(const bson_iter_t& at, std::vector<float>& floats) {
  if (BSON_ITER_HOLDS_ARRAY(&at)) return read_array(at, floats);
  if (BSON_ITER_HOLDS_BINARY(&at)) return read_vector(at, floats);
  return false;
}

Result<Document> from_bson(const bson_t& bson) {
  Document document;
  document.gpu_hardware_json = "null";
  document.extra_json = "{}";
  document.other_json = "{";
  bson_iter_t at;
  if (!bson_iter_init(&at, &bson)) return Status(Code::kCorruption, "not a BSON document");
  while (bson_iter_next(&at)) read_field(at, document);
  if (at.err_off != 0) {
    return Status(Code::kCorruption, fmt::format("BSON damaged at byte {}", at.err_off));
  }
  if (document.metadata_id.empty() && bson_iter_init_find(&at, &bson, "_id")) {
    read_text(at, document.metadata_id);
    if (document.metadata_id.empty()) document.metadata_id = json_of(at);
  }
  document.other_json += '}';
  return document;
}

}  // namespace ca4::store
