#include "store/mongo_query.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/ranking.h"

namespace ca4::store {
namespace {

void append_text(bson_t& to, std::string_view name, std::string_view value) {
  bson_append_utf8(&to, name.data(), static_cast<int>(name.size()), value.data(),
                   static_cast<int>(value.size()));
}

void append_pattern(bson_t& alternatives, const char* index, const char* field,
                    const std::string& pattern) {
  bson_t alternative;
  bson_t condition;
  BSON_APPEND_DOCUMENT_BEGIN(&alternatives, index, &alternative);
  BSON_APPEND_DOCUMENT_BEGIN(&alternative, field, &condition);
  append_text(condition, "$regex", pattern);
  bson_append_document_end(&alternative, &condition);
  bson_append_document_end(&alternatives, &alternative);
}

void append_times(bson_t& to, const Filter& filter) {
  if (!filter.from_us && !filter.until_us) return;
  bson_t condition;
  BSON_APPEND_DOCUMENT_BEGIN(&to, "ingested_at", &condition);
  // Exact: microseconds are further apart than doubles of this size.
  const auto seconds = [](int64_t us) { return static_cast<double>(us) / 1e6; };
  if (filter.from_us) BSON_APPEND_DOUBLE(&condition, "$gte", seconds(*filter.from_us));
  if (filter.until_us) BSON_APPEND_DOUBLE(&condition, "$lt", seconds(*filter.until_us));
  bson_append_document_end(&to, &condition);
}

void append_vector(bson_t& to, const char* name, std::span<const float> values) {
  bson_t array;
  BSON_APPEND_ARRAY_BEGIN(&to, name, &array);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string index = std::to_string(i);
    bson_append_double(&array, index.data(), static_cast<int>(index.size()),
                       static_cast<double>(values[i]));
  }
  bson_append_array_end(&to, &array);
}

// https://www.mongodb.com/docs/atlas/atlas-vector-search/vector-search-stage/
void append_atlas(bson_t& stage, const std::string& index, std::span<const float> query, size_t k) {
  // Atlas asks for 20 times as many candidates as answers, and takes 10,000 at most.
  constexpr size_t kCandidatesAnAnswer = 20;
  constexpr size_t kCandidatesMax = 10'000;
  const size_t limit = std::min(k, kCandidatesMax);
  const size_t candidates = std::min(limit * kCandidatesAnAnswer, kCandidatesMax);
  bson_t search;
  BSON_APPEND_DOCUMENT_BEGIN(&stage, "$vectorSearch", &search);
  append_text(search, "index", index);
  BSON_APPEND_UTF8(&search, "path", "embedding");
  append_vector(search, "queryVector", query);
  BSON_APPEND_INT64(&search, "numCandidates", static_cast<int64_t>(candidates));
  BSON_APPEND_INT64(&search, "limit", static_cast<int64_t>(limit));
  bson_append_document_end(&stage, &search);
}

// https://docs.aws.amazon.com/documentdb/latest/developerguide/vector-search.html
void append_documentdb(bson_t& stage, std::span<const float> query, size_t k) {
  bson_t search;
  bson_t vector;
  BSON_APPEND_DOCUMENT_BEGIN(&stage, "$search", &search);
  BSON_APPEND_DOCUMENT_BEGIN(&search, "vectorSearch", &vector);
  append_vector(vector, "vector", query);
  BSON_APPEND_UTF8(&vector, "path", "embedding");
  BSON_APPEND_UTF8(&vector, "similarity", "cosine");
  BSON_APPEND_INT64(&vector, "k", static_cast<int64_t>(k));
  bson_append_document_end(&search, &vector);
  bson_append_document_end(&stage, &search);
}

}  // namespace

std::string substring_pattern(std::string_view part) {
  constexpr std::string_view kSpecial = R"(\^$.|?*+()[]{}-/#)";
  std::string pattern;
  for (const char c : part) {
    const bool lower = c >= 'a' && c <= 'z';
    const bool upper = c >= 'A' && c <= 'Z';
    if (lower || upper) {
      const char other = static_cast<char>(c ^ 0x20);
      fmt::format_to(std::back_inserter(pattern), "[{}{}]", c, other);
    } else if (c == '\0') {
      pattern += "\\x00";  // a pattern ends at a zero byte
    } else {
      if (kSpecial.find(c) != kSpecial.npos) pattern += '\\';
      pattern += c;
    }
  }
  return pattern;
}

BsonPtr filter_bson(const Filter& filter) {
  BsonPtr bson;
  if (filter.metadata_id) append_text(*bson, "_id", *filter.metadata_id);
  if (filter.pipeline) append_text(*bson, "pipeline", *filter.pipeline);
  if (filter.model) append_text(*bson, "model_name", *filter.model);
  append_times(*bson, filter);
  if (filter.device) {
    const std::string pattern = substring_pattern(*filter.device);
    bson_t alternatives;
    BSON_APPEND_ARRAY_BEGIN(bson.get(), "$or", &alternatives);
    append_pattern(alternatives, "0", "gpu.name", pattern);
    append_pattern(alternatives, "1", "gpu.device", pattern);
    bson_append_array_end(bson.get(), &alternatives);
  }
  return bson;
}

BsonPtr ids_bson(std::span<const std::string> ids) {
  BsonPtr bson;
  bson_t condition;
  bson_t array;
  BSON_APPEND_DOCUMENT_BEGIN(bson.get(), "_id", &condition);
  BSON_APPEND_ARRAY_BEGIN(&condition, "$in", &array);
  for (size_t i = 0; i < ids.size(); ++i) append_text(array, std::to_string(i), ids[i]);
  bson_append_array_end(&condition, &array);
  bson_append_document_end(bson.get(), &condition);
  return bson;
}

// Versions are unsigned and BSON's integers signed: those of the upper half are stored negative and
// are newer than all of the lower half.
BsonPtr older_bson(std::string_view id, uint64_t version) {
  BsonPtr bson;
  append_text(*bson, "_id", id);
  const auto signed_version = static_cast<int64_t>(version);
  bson_t condition;
  BSON_APPEND_DOCUMENT_BEGIN(bson.get(), "version", &condition);
  if (signed_version >= 0) BSON_APPEND_INT64(&condition, "$gte", 0);
  BSON_APPEND_INT64(&condition, "$lt", signed_version);
  bson_append_document_end(bson.get(), &condition);
  return bson;
}

BsonPtr exactly_bson(std::string_view id, const bson_iter_t* version) {
  BsonPtr bson;
  append_text(*bson, "_id", id);
  if (version != nullptr) {
    bson_append_iter(bson.get(), "version", -1, version);
  } else {
    BSON_APPEND_NULL(bson.get(), "version");  // null, or not there
  }
  return bson;
}

BsonPtr find_options_bson(const FindOptions& options) {
  BsonPtr bson;
  bson_t order;
  BSON_APPEND_DOCUMENT_BEGIN(bson.get(), "sort", &order);
  BSON_APPEND_INT32(&order, "ingested_at", options.newest_first ? -1 : 1);
  bson_append_document_end(bson.get(), &order);
  if (options.limit > 0) {
    BSON_APPEND_INT64(bson.get(), "limit", static_cast<int64_t>(options.limit));
  }
  BSON_APPEND_INT32(bson.get(), "batchSize",
                    options.with_embedding ? kDocumentsAnAnswer : kBareDocumentsAnAnswer);
  if (!options.with_embedding) bson_concat(bson.get(), without_embedding_bson().get());
  return bson;
}

BsonPtr without_embedding_bson() {
  BsonPtr bson;
  bson_t fields;
  BSON_APPEND_DOCUMENT_BEGIN(bson.get(), "projection", &fields);
  BSON_APPEND_INT32(&fields, "embedding", 0);
  bson_append_document_end(bson.get(), &fields);
  return bson;
}

BsonPtr vector_search_bson(MongoVectorSearch kind, const std::string& index,
                           std::span<const float> query, size_t k) {
  BsonPtr bson;
  bson_t pipeline;
  bson_t stage;
  BSON_APPEND_ARRAY_BEGIN(bson.get(), "pipeline", &pipeline);
  BSON_APPEND_DOCUMENT_BEGIN(&pipeline, "0", &stage);
  if (kind == MongoVectorSearch::kAtlas) append_atlas(stage, index, query, k);
  if (kind == MongoVectorSearch::kDocumentDb) append_documentdb(stage, query, k);
  bson_append_document_end(&pipeline, &stage);
  bson_append_array_end(bson.get(), &pipeline);
  return bson;
}

}  // namespace ca4::store
