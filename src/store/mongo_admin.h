// What an operator does to a MongoDB-compatible server, by explicit commands only.
#pragma once

#include <mongoc/mongoc.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "store/mongo_client.h"

namespace ca4::store {

// An index that the store's queries use.
struct MongoIndex {
  std::string_view name;
  std::string_view keys;  // as JSON, in order
  std::string_view why;
};

// Each costs every write an insertion, so there are no more than questions need.
inline constexpr MongoIndex kMongoIndexes[] = {
    {"ca4_ingested_at", R"({"ingested_at": -1})", "the newest documents; a span of time"},
    {"ca4_pipeline", R"({"pipeline": 1, "ingested_at": -1})", "the newest of a pipeline"},
    {"ca4_model_name", R"({"model_name": 1, "ingested_at": -1})", "the newest of a model"},
    {"ca4_gpu_name", R"({"gpu.name": 1, "ingested_at": -1})", "the newest of a GPU"},
};

// Names of those of kMongoIndexes that no index of the collection has the fields of; all of them
// where there is no collection. `hosts` names the server in errors.
Result<std::vector<std::string>> missing_indexes(mongoc_collection_t& collection,
                                                 std::string_view hosts);

struct EnsuredIndex {
  MongoIndex index;
  bool created = false;  // false: it was there
};

struct MongoServerInfo {
  std::string hosts;
  std::string version;  // of MongoDB, or of what the server says it is like
  double ping_seconds = 0;
};

class MongoAdmin {
 public:
  // As MongoStore::open.
  static Result<std::unique_ptr<MongoAdmin>> open(const MongoClientOptions& options,
                                                  std::string database, std::string collection);

  // Makes the collection and its indexes where they are missing; what is there stays as it is, also
  // under another name. Waits until each is built: the client's socket timeout is the limit.
  Result<std::vector<EnsuredIndex>> ensure_indexes();

  Result<MongoServerInfo> server_info();

 private:
  MongoAdmin(std::unique_ptr<MongoClients> clients, std::string database, std::string collection);
  Result<bool> ensure(mongoc_client_t* client, const MongoIndex& index);

  const std::unique_ptr<MongoClients> clients_;
  const std::string database_;
  const std::string collection_;
};

}  // namespace ca4::store
