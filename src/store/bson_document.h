// A document in BSON, as MongoDB-compatible stores keep it: docs/formats.md, "MongoDB document".
#pragma once

#include <bson/bson.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/bson_json.h"
#include "store/bson_ptr.h"
#include "store/document_store.h"

namespace ca4::store {

// How an embedding stands in a document.
enum class MongoEmbedding {
  kArray,   // array of doubles: what every consumer and every vector index reads; 13 bytes a float
  kVector,  // binary subtype 9, float32 (BSON Binary Vector): 4 bytes a float
  kNone,    // left out; similarity is then not to be had
};

// BSON Binary Vector: the subtype, and what a float32 one begins with (element type, padding bits).
inline constexpr int kVectorSubtype = 9;
inline constexpr std::string_view kVectorHead("\x27\x00", 2);

// What MongoDB takes as one document.
inline constexpr size_t kBsonDocumentBytesMax = 16U << 20;

// Keeps its scratch memory between documents. One a thread.
class BsonEncoder {
 public:
  explicit BsonEncoder(MongoEmbedding form) : form_(form) {}

  // Makes `to` the document, in the memory that it has. kInvalidArgument or kTooLarge with the
  // reason why no such store can ever keep the document; what is in `to` is then of no use.
  Status encode(const Document& document, bson_t& to);

 private:
  Status append_members(bson_t& to, const Document& document);
  Status append_other(bson_t& to, const std::string& other_json);
  Status append_embedding(bson_t& to, std::span<const float> embedding);
  Status append_doubles(bson_t& to, std::span<const float> embedding);

  const MongoEmbedding form_;
  JsonToBson json_;
  std::string array_;  // of as many zeros as the last embedding had numbers; or a vector
  size_t array_dim_ = 0;
};

// The floats of an embedding in either form, appended; false when the value is neither.
bool read_embedding(const bson_iter_t& at, std::vector<float>& floats);

// The document back. Fields of other types than CA4 writes are left out, so that what others wrote
// into the collection can be read too; an `_id` without `metadata_id` stands for it. kCorruption
// when `bson` is none.
Result<Document> from_bson(const bson_t& bson);

}  // namespace ca4::store
