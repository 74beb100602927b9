// Which names of a stored document are CA4's own. For the two sides of its JSON only.
#pragma once

#include <simdjson.h>

#include <algorithm>
#include <string_view>

namespace ca4::store {

// An unknown field of one of these names would shadow ours: it is kept under "other". `_id` and
// processed_at_us are MongoDB documents' own (bson_document.h), the last two archived rows'
// (archive/batch.h).
inline constexpr std::string_view kDocumentFields[] = {"metadata_id",
                                                       "source_uri",
                                                       "embedding_dim",
                                                       "gpu_hardware",
                                                       "extra",
                                                       "ingested_at",
                                                       "topic",
                                                       "partition",
                                                       "offset",
                                                       "pipeline",
                                                       "tags",
                                                       "gpu",
                                                       "source_type",
                                                       "model_name",
                                                       "model_version",
                                                       "timestamp",
                                                       "l2_norm",
                                                       "payload_hash",
                                                       "processed_at",
                                                       "ingested_at_date",
                                                       "schema_version",
                                                       "version",
                                                       "other",
                                                       "embedding",
                                                       "_id",
                                                       "processed_at_us",
                                                       "embedding_file",
                                                       "embedding_row",
                                                       "traceparent"};

inline bool is_document_field(std::string_view name) {
  return std::find(std::begin(kDocumentFields), std::end(kDocumentFields), name) !=
         std::end(kDocumentFields);
}

// The bytes of a key between its quotes, escapes left as they are.
inline std::string_view raw_key(simdjson::ondemand::raw_json_string key) {
  const char* begin = key.raw();
  const char* end = begin;
  while (*end != '"') end += *end == '\\' ? 2 : 1;
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace ca4::store
