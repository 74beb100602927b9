#include "store/mongo_store.h"

#include <fmt/format.h>

#include "store/mongo_admin.h"
#include "store/mongo_errors.h"
#include "store/mongo_upsert.h"

namespace ca4::store {
namespace {

constexpr size_t kDatabaseBytesMax = 63;  // MongoDB's

Status check(const MongoStoreOptions& options) {
  if (options.database.size() > kDatabaseBytesMax) {
    return {Code::kConfig, fmt::format("MONGO_DB (store.database): MongoDB takes at most {} bytes",
                                       kDatabaseBytesMax)};
  }
  if (options.vector_search == MongoVectorSearch::kAtlas && options.vector_index.empty()) {
    return {Code::kConfig,
            "store.mongo_vector_search is atlas: name the search index in "
            "store.mongo_vector_index"};
  }
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<MongoStore>> MongoStore::open(MongoStoreOptions options) {
  if (Status bad = check(options); !bad.is_ok()) return bad;
  Result<std::unique_ptr<MongoClients>> clients = MongoClients::open(options.client);
  if (!clients) return clients.status();
  return std::unique_ptr<MongoStore>(new MongoStore(std::move(options), std::move(*clients)));
}

MongoStore::MongoStore(MongoStoreOptions options, std::unique_ptr<MongoClients> clients)
    : options_(std::move(options)), clients_(std::move(clients)) {}

Result<MongoStore::Session> MongoStore::session() {
  Result<MongoClients::Lease> client = clients_->take();
  if (!client) return client.status();
  MongoPtr<mongoc_collection_t> collection(mongoc_client_get_collection(
      client->get(), options_.database.c_str(), options_.collection.c_str()));
  return Session{std::move(*client), std::move(collection)};
}

Result<MongoStore::Session> MongoStore::writing_session() {
  Result<Session> session = this->session();
  if (!session) return session;
  const MongoPtr<mongoc_write_concern_t> majority(mongoc_write_concern_new());
  mongoc_write_concern_set_wmajority(majority.get(),
                                     static_cast<int32_t>(options_.write_timeout_ms));
  mongoc_collection_set_write_concern(session->collection.get(), majority.get());
  return session;
}

Result<std::vector<UpsertResult>> MongoStore::upsert(std::span<const Document> batch) {
  const Result<Session> session = writing_session();
  if (!session) return session.status();
  const MongoUpsertOptions options{clients_->hosts(), options_.embedding};
  return MongoUpsert(*session->collection, options).run(batch);
}

Status MongoStore::find(const Filter& filter, const FindOptions& options, const Visit& visit) {
  Result<Session> session = this->session();
  if (!session) return session.status();
  const MongoPtr<mongoc_cursor_t> cursor(
      mongoc_collection_find_with_opts(session->collection.get(), filter_bson(filter).get(),
                                       find_options_bson(options).get(), nullptr));
  Status damaged;
  const Status status = read_all(*cursor, clients_->hosts(), [&](const bson_t& bson) {
    const Result<Document> document = from_bson(bson);
    damaged = document.status();
    return document && visit(*document);
  });
  return status.is_ok() ? damaged : status;
}

Result<uint64_t> MongoStore::count(const Filter& filter) {
  Result<Session> session = this->session();
  if (!session) return session.status();
  const BsonPtr conditions = filter_bson(filter);
  mongoc_collection_t* const collection = session->collection.get();
  bson_error_t error;
  const int64_t documents =
      bson_empty(conditions.get())
          ? mongoc_collection_estimated_document_count(collection, nullptr, nullptr, nullptr,
                                                       &error)
          : mongoc_collection_count_documents(collection, conditions.get(), nullptr, nullptr,
                                              nullptr, &error);
  if (documents < 0) return to_status(error, clients_->hosts());
  return static_cast<uint64_t>(documents);
}

Result<std::vector<std::string>> MongoStore::missing_indexes() {
  const Result<Session> session = this->session();
  if (!session) return session.status();
  return store::missing_indexes(*session->collection, clients_->hosts());
}

Status MongoStore::remove(std::string_view metadata_id) {
  const Result<Session> session = writing_session();
  if (!session) return session.status();
  const BsonPtr id = filter_bson({.metadata_id = std::string(metadata_id)});
  bson_error_t error;
  return mongoc_collection_delete_one(session->collection.get(), id.get(), nullptr, nullptr, &error)
             ? Status::ok()
             : to_status(error, clients_->hosts());
}

Status MongoStore::ping() {
  Result<Session> session = this->session();
  if (!session) return session.status();
  bson_t command;
  bson_init(&command);
  BSON_APPEND_INT32(&command, "ping", 1);
  bson_error_t error;
  const bool answered = mongoc_client_command_simple(
      session->client.get(), options_.database.c_str(), &command, nullptr, nullptr, &error);
  bson_destroy(&command);
  return answered ? Status::ok() : to_status(error, clients_->hosts());
}

}  // namespace ca4::store
