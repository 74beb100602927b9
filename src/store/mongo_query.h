// What is asked of a MongoDB-compatible server, as BSON. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/bson_document.h"
#include "store/document_store.h"

namespace ca4::store {

// Who finds the nearest embeddings.
enum class MongoVectorSearch {
  kScan,        // this process, reading every embedding of the filter: exact
  kAtlas,       // MongoDB Atlas, $vectorSearch over a search index
  kDocumentDb,  // Amazon DocumentDB, $search over a vector index
};

// The conditions of `filter`, over fields that `ca4 db ensure` indexes.
BsonPtr filter_bson(const Filter& filter);

// A regular expression that matches every text with `part` in it, ASCII letters in either case: the
// same on every server, whatever its regular expressions think of other letters.
std::string substring_pattern(std::string_view part);

// {_id: {$in: ids}}
BsonPtr ids_bson(std::span<const std::string> ids);

// What an upsert of `version` may replace: a document of this id with an older version.
BsonPtr older_bson(std::string_view id, uint64_t version);
// Or the document whose version, of whatever type, is still the one that was read; null: it had
// none (it was not written by CA4).
BsonPtr exactly_bson(std::string_view id, const bson_iter_t* version);

// How many documents with their embeddings the server sends at once. It would send 16 MiB, which a
// slow link (2 Mbit/s) does not carry within the socket's timeout.
inline constexpr int32_t kDocumentsAnAnswer = 128;
// Without them: some 1.5 MB.
inline constexpr int32_t kBareDocumentsAnAnswer = 1000;

// Options of find: order, limit, what to leave out, how many at once.
BsonPtr find_options_bson(const FindOptions& options);

// Options of find: everything but the embedding, in any order.
BsonPtr without_embedding_bson();

// The aggregation that has the server find the `k` nearest. `index` names Atlas' index. Both answer
// with whole documents. Not for kScan.
BsonPtr vector_search_bson(MongoVectorSearch kind, const std::string& index,
                           std::span<const float> query, size_t k);

}  // namespace ca4::store
