// One batch of documents into one collection: the newest version of each id wins, whatever other
// writers do at the same time.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "store/bson_document.h"
#include "store/document_store.h"
#include "store/mongo_collection.h"

namespace ca4::store {

struct MongoUpsertOptions {
  std::string hosts;  // for messages
  MongoEmbedding embedding = MongoEmbedding::kArray;
};

// For one batch and one thread.
class MongoUpsert {
 public:
  // `collection` has its write concern set. Both must outlive the upsert.
  MongoUpsert(mongoc_collection_t& collection, const MongoUpsertOptions& options)
      : collection_(collection), options_(options), encoder_(options.embedding) {}

  // As DocumentStore::upsert.
  Result<std::vector<UpsertResult>> run(std::span<const Document> batch);

 private:
  // What the batch holds of one id, and what became of it.
  struct Group {
    std::vector<size_t> members;  // places in the batch, in order
    size_t newest = 0;            // the one of them that is written
    BsonPtr filter{nullptr};
    UpsertResult result;  // of the one that is written
    bool seen = false;    // a document of this id is there
  };

  void group_by_id();
  // Makes document_ the newest member that a store can keep; the results of the others say why it
  // can't. False when none is left.
  bool encode_newest(Group& group);
  // Puts document_ into the next message.
  Status add(const Group& group);
  // Writes what was added and settles it.
  Status flush();
  // Sends the message that holds `pending`, which keeps those whose id is there already.
  Status write(std::vector<Group*>& pending);
  // Puts them into a message again, each with the filter that it has by now.
  Status add_again(const std::vector<Group*>& pending);
  Status read_reply(const bson_t& reply, std::vector<Group*>& pending) const;
  // Looks at what is there; `pending` keeps those that are newer and not written yet.
  Status compare(std::vector<Group*>& pending) const;
  void compare_one(const bson_t& stored, std::unordered_map<std::string_view, Group*>& by_id) const;
  void settle(const Group& group);

  mongoc_collection_t& collection_;
  const MongoUpsertOptions& options_;
  BsonEncoder encoder_;
  std::span<const Document> batch_;
  std::vector<UpsertResult> results_;
  std::vector<Group> groups_;
  BsonPtr document_;  // one for all: a message's worth of them would not stay in the CPU's cache
  // The message that is being put together: a part of the groups.
  MongoPtr<mongoc_bulk_operation_t> bulk_;
  std::vector<Group*> part_;
  size_t bytes_ = 0;
};

}  // namespace ca4::store
