#include "store/mongo_admin.h"

#include <chrono>

#include "store/bson_ptr.h"
#include "store/mongo_collection.h"
#include "store/mongo_errors.h"

namespace ca4::store {
namespace {

int64_t number_of(const bson_t& reply, const char* name) {
  bson_iter_t at;
  return bson_iter_init_find(&at, &reply, name) ? bson_iter_as_int64(&at) : 0;
}

BsonPtr create_index_bson(const std::string& collection, const MongoIndex& index) {
  BsonPtr command;
  BSON_APPEND_UTF8(command.get(), "createIndexes", collection.c_str());
  bson_t indexes;
  bson_t spec;
  BSON_APPEND_ARRAY_BEGIN(command.get(), "indexes", &indexes);
  BSON_APPEND_DOCUMENT_BEGIN(&indexes, "0", &spec);
  const BsonPtr keys(bson_new_from_json(reinterpret_cast<const uint8_t*>(index.keys.data()),
                                        static_cast<ssize_t>(index.keys.size()), nullptr));
  BSON_APPEND_DOCUMENT(&spec, "key", keys.get());
  BSON_APPEND_UTF8(&spec, "name", std::string(index.name).c_str());
  // DocumentDB would hold up every write meanwhile; MongoDB since 4.2 never does.
  BSON_APPEND_BOOL(&spec, "background", true);
  bson_append_document_end(&indexes, &spec);
  bson_append_array_end(command.get(), &indexes);
  return command;
}

}  // namespace

Result<std::unique_ptr<MongoAdmin>> MongoAdmin::open(const MongoClientOptions& options,
                                                     std::string database, std::string collection) {
  Result<std::unique_ptr<MongoClients>> clients = MongoClients::open(options);
  if (!clients) return clients.status();
  return std::unique_ptr<MongoAdmin>(
      new MongoAdmin(std::move(*clients), std::move(database), std::move(collection)));
}

MongoAdmin::MongoAdmin(std::unique_ptr<MongoClients> clients, std::string database,
                       std::string collection)
    : clients_(std::move(clients)),
      database_(std::move(database)),
      collection_(std::move(collection)) {}

Result<std::vector<EnsuredIndex>> MongoAdmin::ensure_indexes() {
  const Result<MongoClients::Lease> client = clients_->take();
  if (!client) return client.status();
  std::vector<EnsuredIndex> ensured;
  for (const MongoIndex& index : kMongoIndexes) {
    const Result<bool> created = ensure(client->get(), index);
    if (!created) return created.status();
    ensured.push_back({index, *created});
  }
  return ensured;
}

// The server's own count tells whether it made one: names and key orders are not repeated the same
// by every server.
Result<bool> MongoAdmin::ensure(mongoc_client_t* client, const MongoIndex& index) {
  constexpr int32_t kSameKeysOtherName = 85;  // IndexOptionsConflict
  const BsonPtr command = create_index_bson(collection_, index);
  BsonReply reply;
  bson_error_t error;
  const bool done = mongoc_client_write_command_with_opts(client, database_.c_str(), command.get(),
                                                          nullptr, reply.get(), &error);
  if (!done && is_server_error(error, kSameKeysOtherName)) return false;
  if (!done) return to_status(error, clients_->hosts());
  return number_of(reply.bson(), "numIndexesAfter") > number_of(reply.bson(), "numIndexesBefore");
}

Result<MongoServerInfo> MongoAdmin::server_info() {
  const Result<MongoClients::Lease> client = clients_->take();
  if (!client) return client.status();
  MongoServerInfo info;
  info.hosts = clients_->hosts();
  const auto ask = [&](const char* command_name, bson_t* reply) {
    bson_error_t error;
    BsonPtr command;
    BSON_APPEND_INT32(command.get(), command_name, 1);
    const bool answered = mongoc_client_command_simple(client->get(), database_.c_str(),
                                                       command.get(), nullptr, reply, &error);
    return answered ? Status::ok() : to_status(error, clients_->hosts());
  };
  BsonReply build;
  if (Status status = ask("buildInfo", build.get()); !status.is_ok()) return status;
  bson_iter_t at;
  if (bson_iter_init_find(&at, &build.bson(), "version") && BSON_ITER_HOLDS_UTF8(&at)) {
    info.version = bson_iter_utf8(&at, nullptr);
  }
  // Now that the connection is there.
  const auto start = std::chrono::steady_clock::now();
  if (Status status = ask("ping", nullptr); !status.is_ok()) return status;
  info.ping_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return info;
}

}  // namespace ca4::store
