#include "store/mongo_admin.h"

#include <chrono>
#include <iterator>

#include "store/bson_ptr.h"
#include "store/mongo_collection.h"
#include "store/mongo_errors.h"

namespace ca4::store {
namespace {

int64_t number_of(const bson_t& reply, const char* name) {
  bson_iter_t at;
  return bson_iter_init_find(&at, &reply, name) ? bson_iter_as_int64(&at) : 0;
}

BsonPtr keys_of(const MongoIndex& index) {
  return BsonPtr(bson_new_from_json(reinterpret_cast<const uint8_t*>(index.keys.data()),
                                    static_cast<ssize_t>(index.keys.size()), nullptr));
}

BsonPtr create_index_bson(const std::string& collection, const MongoIndex& index) {
  BsonPtr command;
  BSON_APPEND_UTF8(command.get(), "createIndexes", collection.c_str());
  bson_t indexes;
  bson_t spec;
  BSON_APPEND_ARRAY_BEGIN(command.get(), "indexes", &indexes);
  BSON_APPEND_DOCUMENT_BEGIN(&indexes, "0", &spec);
  BSON_APPEND_DOCUMENT(&spec, "key", keys_of(index).get());
  BSON_APPEND_UTF8(&spec, "name", std::string(index.name).c_str());
  // DocumentDB would hold up every write meanwhile; MongoDB since 4.2 never does.
  BSON_APPEND_BOOL(&spec, "background", true);
  bson_append_document_end(&indexes, &spec);
  bson_append_array_end(command.get(), &indexes);
  return command;
}

// Fields in order. Directions don't matter: an index is walked backwards as well, and none of ours
// sorts by two fields.
bool same_fields(const bson_t& a, const bson_t& b) {
  bson_iter_t at_a;
  bson_iter_t at_b;
  if (!bson_iter_init(&at_a, &a) || !bson_iter_init(&at_b, &b)) return false;
  while (true) {
    const bool more_a = bson_iter_next(&at_a);
    const bool more_b = bson_iter_next(&at_b);
    if (!more_a || !more_b) return more_a == more_b;
    if (std::string_view(bson_iter_key(&at_a)) != bson_iter_key(&at_b)) return false;
  }
}

bool has_fields(const bson_t& listed, const MongoIndex& wanted) {
  bson_iter_t at;
  if (!bson_iter_init_find(&at, &listed, "key") || !BSON_ITER_HOLDS_DOCUMENT(&at)) return false;
  uint32_t size = 0;
  const uint8_t* data = nullptr;
  bson_iter_document(&at, &size, &data);
  bson_t keys;
  return bson_init_static(&keys, data, size) && same_fields(keys, *keys_of(wanted));
}

}  // namespace

Result<std::vector<std::string>> missing_indexes(mongoc_collection_t& collection,
                                                 std::string_view hosts) {
  const MongoPtr<mongoc_cursor_t> cursor(
      mongoc_collection_find_indexes_with_opts(&collection, nullptr));
  std::vector<MongoIndex> missing(std::begin(kMongoIndexes), std::end(kMongoIndexes));
  const Status status = read_all(*cursor, hosts, [&](const bson_t& listed) {
    std::erase_if(missing, [&](const MongoIndex& index) { return has_fields(listed, index); });
    return true;
  });
  if (!status.is_ok()) return status;
  std::vector<std::string> names;
  for (const MongoIndex& index : missing) names.emplace_back(index.name);
  return names;
}

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
