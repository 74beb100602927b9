// The MongoDB store against the server that CA4_TEST_MONGO_URI names: the conformance suites, and
// what only a shared database brings: documents of others, indexes of others, other writers.
#include "store/mongo_store.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "store/mongo_admin.h"
#include "store/store_conformance.h"

namespace ca4::store {
namespace {

using testing::HasSubstr;
using testing::SizeIs;
using enum Outcome;

// A collection a folder; tests of one run share the database.
MongoStoreOptions options_for(const std::string& dir) {
  const char* const uri = std::getenv("CA4_TEST_MONGO_URI");
  const char* const form = std::getenv("CA4_TEST_MONGO_EMBEDDING");
  MongoStoreOptions options;
  EXPECT_NE(uri, nullptr) << "CA4_TEST_MONGO_URI is to name a server, as tests/test_mongo.py does";
  if (uri != nullptr) options.client.uri = uri;
  if (const char* const ca = std::getenv("CA4_TEST_MONGO_CA_FILE")) options.client.ca_file = ca;
  options.database = "ca4_test";
  options.collection = std::filesystem::path(dir).filename().string();
  std::replace(options.collection.begin(), options.collection.end(), '-', '_');
  if (form != nullptr && std::string_view(form) == "vector") {
    options.embedding = MongoEmbedding::kVector;
  }
  return options;
}

std::unique_ptr<DocumentStore> open_mongo(const std::string& dir) {
  Result<std::unique_ptr<MongoStore>> store = MongoStore::open(options_for(dir));
  EXPECT_TRUE(store) << store.status().to_string();
  return store ? std::move(*store) : nullptr;
}

constexpr Backend kMongo = {"store", open_mongo};
INSTANTIATE_TEST_SUITE_P(Mongo, StoreConformance, testing::Values(kMongo), backend_name);
INSTANTIATE_TEST_SUITE_P(Mongo, StoreSimilar, testing::Values(kMongo), backend_name);

class MongoServer : public testing::Test {
 protected:
  void SetUp() override {
    options_ = options_for(dir_.path());
    ASSERT_FALSE(options_.client.uri.empty());
    store_ = open_mongo(dir_.path());
    ASSERT_NE(store_, nullptr);
  }

  std::vector<Outcome> upsert(const std::vector<Document>& batch) {
    const auto results = store_->upsert(batch);
    EXPECT_TRUE(results) << results.status().to_string();
    std::vector<Outcome> outcomes;
    if (results) {
      for (const UpsertResult& result : *results) outcomes.push_back(result.outcome);
    }
    return outcomes;
  }

  Document find_one(const std::string& id) {
    Document found;
    const Status status =
        store_->find({.metadata_id = id}, {.with_embedding = true}, [&](const Document& document) {
          found = document;
          return false;
        });
    EXPECT_TRUE(status.is_ok()) << status.to_string();
    return found;
  }

  // As another program would write it.
  void insert(const char* json) {
    const auto clients = MongoClients::open(options_.client);
    ASSERT_TRUE(clients);
    const auto client = (*clients)->take();
    ASSERT_TRUE(client);
    const MongoPtr<mongoc_collection_t> collection(mongoc_client_get_collection(
        client->get(), options_.database.c_str(), options_.collection.c_str()));
    bson_error_t error;
    const BsonPtr bson(bson_new_from_json(reinterpret_cast<const uint8_t*>(json), -1, &error));
    ASSERT_NE(bson.get(), nullptr) << error.message;
    ASSERT_TRUE(
        mongoc_collection_insert_one(collection.get(), bson.get(), nullptr, nullptr, &error))
        << error.message;
  }

  TempDir dir_;
  MongoStoreOptions options_;
  std::unique_ptr<DocumentStore> store_;
};

// What a worker of before CA4 wrote has no version: anything is newer.
TEST_F(MongoServer, ADocumentWithoutAVersionIsReplaced) {
  insert(R"({"_id": "a", "metadata_id": "a", "ingested_at": 1.5, "embedding": [1, 2.5]})");
  insert(R"({"_id": "b", "metadata_id": "b", "version": "of another kind"})");
  EXPECT_EQ(upsert({make_document("a", 1), make_document("b", 1), make_document("c", 1)}),
            (std::vector{kUpdated, kUpdated, kInserted}));
  EXPECT_EQ(find_one("a").version, 1U);
  EXPECT_EQ(find_one("b").version, 1U);
}

TEST_F(MongoServer, DocumentsOfOtherProgramsCanBeRead) {
  insert(R"({"_id": "a", "metadata_id": "a", "source_uri": null, "embedding_dim": 2,
             "gpu_hardware": {"name": "T4"}, "extra": {"when": {"$date": "2026-01-02T03:04:05Z"}},
             "ingested_at": {"$date": "2026-01-02T03:04:05.678Z"}, "embedding": [1, 2.5],
             "offset": 7, "pipeline": 3, "note": {"$oid": "507f1f77bcf86cd799439011"}})");
  const Document found = find_one("a");
  EXPECT_EQ(found.ingested_at_us, 1'767'323'045'678'000);
  EXPECT_EQ(found.embedding, (std::vector<float>{1, 2.5}));
  EXPECT_EQ(found.offset, 7);
  EXPECT_EQ(found.pipeline, "");
  EXPECT_THAT(found.extra_json, HasSubstr("2026-01-02T03:04:05Z"));
  EXPECT_THAT(found.other_json, HasSubstr("507f1f77bcf86cd799439011"));
  insert(R"({"_id": {"$oid": "507f1f77bcf86cd799439012"}, "x": 1})");
  bool seen = false;
  EXPECT_TRUE(store_
                  ->find({}, {.limit = 0},
                         [&](const Document& document) {
                           seen |= document.metadata_id.find("439012") != std::string::npos;
                           return true;
                         })
                  .is_ok());
  EXPECT_TRUE(seen);
}

TEST_F(MongoServer, ADocumentOverSixteenMebibytesIsADeadLetterAndItsNeighboursGetIn) {
  Document large = make_document("large");
  large.extra_json = R"({"text":")" + std::string(kBsonDocumentBytesMax, 'x') + "\"}";
  const auto results = store_->upsert(std::vector{make_document("a"), large, make_document("b")});
  ASSERT_TRUE(results) << results.status().to_string();
  EXPECT_EQ((*results)[0].outcome, kInserted);
  EXPECT_EQ((*results)[1].outcome, kDeadLetter);
  EXPECT_THAT((*results)[1].reason, HasSubstr("more than 16777216"));
  EXPECT_EQ((*results)[2].outcome, kInserted);
  large.extra_json.resize(large.extra_json.size() - 4096);
  large.extra_json += "\"}";
  EXPECT_EQ(upsert({large}), std::vector{kInserted}) << "just below the limit";
}

// An older version is written once the newer one turned out to be unstorable.
TEST_F(MongoServer, AnUnstorableNewestVersionDoesNotTakeTheOlderOneWithIt) {
  Document large = make_document("a", 9);
  large.extra_json = R"({"text":")" + std::string(kBsonDocumentBytesMax, 'x') + "\"}";
  EXPECT_EQ(upsert({make_document("a", 7), large}), (std::vector{kInserted, kDeadLetter}));
  EXPECT_EQ(find_one("a").version, 7U);
}

TEST_F(MongoServer, ABatchLargerThanAMessageGetsIn) {
  std::vector<Document> batch;
  for (int i = 0; i < 1100; ++i) {
    batch.push_back(make_document("d" + std::to_string(i), 1, std::vector<float>(300, 0.5F)));
  }
  const std::vector<Outcome> outcomes = upsert(batch);
  EXPECT_EQ(outcomes, std::vector(batch.size(), kInserted));
  EXPECT_EQ(*store_->count({}), batch.size());
  EXPECT_EQ(upsert(batch), std::vector(batch.size(), kUnchanged));
}

// Several processes are several stores. Each id ends with its newest version, whoever wrote it.
TEST_F(MongoServer, WritersOfTheSameIdsAtTheSameTimeConverge) {
  constexpr int kWriters = 4;
  constexpr int kRounds = 25;
  std::atomic<uint64_t> next_version = 1;
  std::vector<std::thread> writers;
  for (int w = 0; w < kWriters; ++w) {
    writers.emplace_back([&] {
      const std::unique_ptr<DocumentStore> store = open_mongo(dir_.path());
      for (int round = 0; round < kRounds; ++round) {
        std::vector<Document> batch;
        for (int id = 0; id < 5; ++id) {
          const uint64_t version = next_version++;
          const auto value = static_cast<float>(version);
          batch.push_back(make_document("id" + std::to_string(id), version, {value, value}));
        }
        // What another writer got in the way of is to be tried again, as the worker does.
        for (int tries = 0; !batch.empty(); ++tries) {
          const auto results = store->upsert(batch);
          ASSERT_TRUE(results) << results.status().to_string();
          std::vector<Document> again;
          std::string reason;
          for (size_t i = 0; i < batch.size(); ++i) {
            if ((*results)[i].outcome != kRetry) continue;
            again.push_back(batch[i]);
            reason = (*results)[i].reason;
          }
          ASSERT_LT(tries, 200) << reason;
          batch = std::move(again);
        }
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(*store_->count({}), 5U);
  uint64_t newest = 0;
  for (int id = 0; id < 5; ++id) {
    const Document found = find_one("id" + std::to_string(id));
    const auto value = static_cast<float>(found.version);
    EXPECT_EQ(found.embedding, (std::vector<float>{value, value}));
    newest = std::max(newest, found.version);
  }
  EXPECT_EQ(newest, next_version - 1);
}

TEST_F(MongoServer, IndexesAreMadeOnceAndThenThere) {
  EXPECT_THAT(*store_->missing_indexes(), SizeIs(std::size(kMongoIndexes)));
  const auto admin = MongoAdmin::open(options_.client, options_.database, options_.collection);
  ASSERT_TRUE(admin) << admin.status().to_string();
  const auto first = (*admin)->ensure_indexes();
  ASSERT_TRUE(first) << first.status().to_string();
  ASSERT_EQ(first->size(), std::size(kMongoIndexes));
  EXPECT_EQ(*store_->missing_indexes(), std::vector<std::string>());
  for (const EnsuredIndex& ensured : *first) EXPECT_TRUE(ensured.created) << ensured.index.name;
  const auto second = (*admin)->ensure_indexes();
  ASSERT_TRUE(second) << second.status().to_string();
  for (const EnsuredIndex& ensured : *second) EXPECT_FALSE(ensured.created) << ensured.index.name;
  upsert({make_document("a")});
  EXPECT_EQ(*store_->count({.pipeline = "demo", .device = "a100", .model = "resnet50"}), 1U);
}

TEST_F(MongoServer, WithoutEmbeddingsThereIsNoSimilarity) {
  options_.embedding = MongoEmbedding::kNone;
  const auto store = MongoStore::open(options_);
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->upsert(std::vector{make_document("a")}));
  const Document found = find_one("a");
  EXPECT_TRUE(found.embedding.empty());
  EXPECT_EQ(found.embedding_dim, 3U);
  const auto near = (*store)->similar(std::vector<float>{1, 2, 2}, 1, {});
  EXPECT_EQ(near.status().code(), Code::kInvalidArgument);
}

TEST_F(MongoServer, ASearchThatReadsForTooLongEndsAndSaysWhatElseThereIs) {
  std::vector<Document> documents;
  for (int i = 0; i < 300; ++i) documents.push_back(make_document(std::to_string(i)));
  (void)upsert(documents);
  options_.scan_ms_max = 1;
  const auto store = MongoStore::open(options_);
  ASSERT_TRUE(store);
  const Status status = (*store)->similar(std::vector<float>{1, 2, 2}, 1, {}).status();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("store.mongo_vector_search"));
}

// Neither server of the tests has a vector index: what is refused is said, not hidden by a scan.
TEST_F(MongoServer, AVectorIndexThatIsNotThereIsAnError) {
  options_.vector_search = MongoVectorSearch::kAtlas;
  options_.vector_index = "embeddings";
  const auto store = MongoStore::open(options_);
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->upsert(std::vector{make_document("a")}));
  const auto near = (*store)->similar(std::vector<float>{1, 2, 2}, 1, {});
  ASSERT_FALSE(near);
  EXPECT_THAT(near.status().message(), HasSubstr("$vectorSearch"));
  const auto filtered = (*store)->similar(std::vector<float>{1, 2, 2}, 1, {.pipeline = "demo"});
  ASSERT_TRUE(filtered) << "with a filter it scans: " << filtered.status().to_string();
  EXPECT_EQ(filtered->size(), 1U);
}

TEST_F(MongoServer, MoreOperationsThanConnectionsWaitAndThenFail) {
  options_.client.clients_max = 1;
  options_.client.server_selection_timeout_ms = 200;
  const auto store = MongoStore::open(options_);
  ASSERT_TRUE(store);
  ASSERT_TRUE((*store)->upsert(std::vector{make_document("a")}));
  Status inner;
  const Status outer = (*store)->find({}, {}, [&](const Document&) {
    inner = (*store)->ping();
    return true;
  });
  EXPECT_TRUE(outer.is_ok()) << outer.to_string();
  EXPECT_EQ(inner.code(), Code::kOverloaded);
  EXPECT_THAT(inner.message(), HasSubstr("mongo_connections_max"));
}

}  // namespace
}  // namespace ca4::store
