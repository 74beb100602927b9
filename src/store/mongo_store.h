// The document store on a MongoDB-compatible server: MongoDB, Atlas, Amazon DocumentDB.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/bson_document.h"
#include "store/document_store.h"
#include "store/mongo_client.h"
#include "store/mongo_collection.h"
#include "store/mongo_query.h"
#include "store/ranking.h"

namespace ca4::store {

struct MongoStoreOptions {
  MongoClientOptions client = {};
  std::string database = "ca4";
  std::string collection = "gpu_metadata";
  MongoEmbedding embedding = MongoEmbedding::kArray;
  MongoVectorSearch vector_search = MongoVectorSearch::kScan;
  std::string vector_index = {};  // Atlas' search index
  // How long the server may wait for a majority. Shorter than the socket's timeout, so that its
  // answer comes first.
  int64_t write_timeout_ms = 10'000;
  // How long one search may read embeddings; 0: as long as it takes.
  int64_t scan_ms_max = 0;
};

// Any number of processes may use one collection. Statuses name the hosts: kUnavailable when the
// server is away, in an election or refuses the login, kInternal when it refuses a request.
class MongoStore final : public DocumentStore {
 public:
  // Connects to nothing yet. kConfig when the options can't be right.
  static Result<std::unique_ptr<MongoStore>> open(MongoStoreOptions options);

  // Unordered upserts in parts of some MiB, each acknowledged by a majority of the servers. With
  // ids that come several times the older ones count as written when only the newest was.
  Result<std::vector<UpsertResult>> upsert(std::span<const Document> batch) override;
  // Reads as it visits, a batch of the server's at a time.
  Status find(const Filter& filter, const FindOptions& options, const Visit& visit) override;
  // Without conditions the server's own count, which a MongoDB that crashed may have wrong until
  // it is validated.
  Result<uint64_t> count(const Filter& filter) override;
  // A server's vector index answers only where there are no conditions, and its candidates may not
  // be the nearest there are; their cosines are exact. Otherwise every embedding of the filter is
  // read, within scan_ms_max: kUnavailable then. kInvalidArgument when embeddings are not stored.
  Result<std::vector<Neighbour>> similar(std::span<const float> query, size_t k,
                                         const Filter& filter) override;
  // Of kMongoIndexes, by their fields: under which name an index goes does not matter.
  Result<std::vector<std::string>> missing_indexes() override;
  // Acknowledged by a majority, as upserts are.
  Status remove(std::string_view metadata_id) override;
  Status ping() override;

  // For messages: "db1:27017,db2:27017".
  const std::string& hosts() const { return clients_->hosts(); }

 private:
  // One client with the collection on it.
  struct Session {
    MongoClients::Lease client;
    MongoPtr<mongoc_collection_t> collection;
  };

  MongoStore(MongoStoreOptions options, std::unique_ptr<MongoClients> clients);
  Result<Session> session();
  Result<Session> writing_session();
  Result<std::vector<Neighbour>> search_by_server(std::span<const float> query, size_t k);
  Status scan(std::span<const float> query, const Filter& filter, TopKOf<std::string>& best);
  Result<std::vector<Neighbour>> fetch(const std::vector<RankedOf<std::string>>& ranked);

  const MongoStoreOptions options_;
  const std::unique_ptr<MongoClients> clients_;
};

}  // namespace ca4::store
