// The conformance suite of the DocumentStore port, but for similarity
// (store_similar_conformance.cc).
#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>

#include "store/store_conformance.h"

namespace ca4::store {
namespace {

using enum Outcome;

TEST_P(StoreConformance, NewNewerSameAndOlderVersionsAreToldApart) {
  EXPECT_EQ(upsert({make_document("a", 5)}), std::vector{kInserted});
  EXPECT_EQ(upsert({make_document("a", 7)}), std::vector{kUpdated});
  EXPECT_EQ(upsert({make_document("a", 7)}), std::vector{kUnchanged});
  EXPECT_EQ(upsert({make_document("a", 6)}), std::vector{kStale});
  const std::vector<Document> found = find({});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].version, 7U);
}

TEST_P(StoreConformance, VersionsOfTheUpperHalfOfTheirRangeAreStillLarger) {
  const uint64_t high = uint64_t{1} << 63U;
  EXPECT_EQ(upsert({make_document("a", high - 1), make_document("a", high)}),
            (std::vector{kInserted, kUpdated}));
  EXPECT_EQ(upsert({make_document("a", 3)}), std::vector{kStale});
  EXPECT_EQ(find({})[0].version, high);
  EXPECT_EQ(upsert({make_document("b", 3)}), std::vector{kInserted});
  EXPECT_EQ(upsert({make_document("b", high)}), std::vector{kUpdated});
  EXPECT_EQ(find({.metadata_id = "b"})[0].version, high);
}

TEST_P(StoreConformance, AnUpdateReplacesEverythingIncludingTheEmbeddingsLength) {
  upsert({make_document("a", 1, {1, 2, 3, 4})});
  Document newer = make_document("a", 2, {5, 6});
  newer.pipeline = "other";
  newer.gpu.name.reset();
  upsert({newer});
  const std::vector<Document> found = find({}, {.limit = 0, .with_embedding = true});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].embedding, (std::vector<float>{5, 6}));
  EXPECT_EQ(found[0].embedding_dim, 2U);
  EXPECT_EQ(*store_->count({.pipeline = "demo"}), 0U);
  EXPECT_EQ(*store_->count({.pipeline = "other"}), 1U);
  EXPECT_EQ(*store_->count({.device = "a100"}), 0U);
}

TEST_P(StoreConformance, TheSameIdTwiceInABatchKeepsTheLargerVersion) {
  EXPECT_EQ(upsert({make_document("a", 2), make_document("b", 1), make_document("a", 1),
                    make_document("a", 2), make_document("a", 3)}),
            (std::vector{kInserted, kInserted, kStale, kUnchanged, kUpdated}));
  EXPECT_EQ(*store_->count({}), 2U);
  EXPECT_EQ(find({.metadata_id = "a"})[0].version, 3U);
}

TEST_P(StoreConformance, RedeliveryInAnyOrderConverges) {
  std::vector<int> order = {0, 1, 2, 3};
  int permutation = 0;
  do {
    const std::string id = "id-" + std::to_string(permutation++);
    for (const int i : order) {
      const auto value = static_cast<float>(i + 1);
      upsert({make_document(id, static_cast<uint64_t>(i + 10), {value, value})});
    }
    const std::vector<Document> found =
        find({.metadata_id = id}, {.limit = 0, .with_embedding = true});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].version, 13U);
    EXPECT_EQ(found[0].embedding, (std::vector<float>{4, 4}));
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_P(StoreConformance, ARemovedDocumentIsGoneFromEveryQuestionAndItsNeighboursStay) {
  upsert({make_document("a", 5, {1, 0}), make_document("b", 5, {0, 1})});
  for (int again = 0; again < 2; ++again) {
    ASSERT_TRUE(store_->remove("a").is_ok());
    EXPECT_EQ(*store_->count({}), 1U);
    EXPECT_TRUE(find({.metadata_id = "a"}).empty());
    const auto alike = store_->similar(std::vector<float>{1, 0}, 5, {});
    ASSERT_TRUE(alike) << alike.status().to_string();
    ASSERT_EQ(alike->size(), 1U);
    EXPECT_EQ(alike->front().document.metadata_id, "b");
  }
  EXPECT_TRUE(store_->remove("nobody").is_ok());
}

TEST_P(StoreConformance, AnOlderVersionMayComeBackAfterARemoval) {
  upsert({make_document("a", 5)});
  ASSERT_TRUE(store_->remove("a").is_ok());
  EXPECT_EQ(upsert({make_document("a", 3, {7, 8})}), std::vector{kInserted});
  const std::vector<Document> found = find({}, {.limit = 0, .with_embedding = true});
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].version, 3U);
  EXPECT_EQ(found[0].embedding, (std::vector<float>{7, 8}));
}

TEST_P(StoreConformance, WhatCanNeverBeStoredIsDeadLetteredAndItsNeighboursAreKept) {
  Document no_utf8 = make_document("c");
  no_utf8.source_uri = "caf\xe9";
  const std::vector<Document> batch = {make_document("a"), make_document(""),
                                       make_document("b", 1, {}), no_utf8, make_document("d")};
  const Result<std::vector<UpsertResult>> results = store_->upsert(batch);
  ASSERT_TRUE(results);
  EXPECT_EQ((*results)[0].outcome, kInserted);
  EXPECT_EQ((*results)[1].outcome, kDeadLetter);
  EXPECT_EQ((*results)[1].reason, "metadata_id: empty");
  EXPECT_EQ((*results)[2].reason, "embedding: empty");
  EXPECT_EQ((*results)[3].reason, "text that is not UTF-8");
  EXPECT_EQ((*results)[4].outcome, kInserted);
  EXPECT_EQ(*store_->count({}), 2U);
}

TEST_P(StoreConformance, AnEmptyBatchAndAnEmptyStoreAreFine) {
  EXPECT_TRUE(upsert({}).empty());
  EXPECT_TRUE(find({}).empty());
  EXPECT_EQ(*store_->count({}), 0U);
  EXPECT_TRUE(store_->ping().is_ok());
}

TEST_P(StoreConformance, ADocumentComesBackAsItWasStored) {
  const Document stored = make_document("a");
  upsert({stored});
  const std::vector<Document> with = find({}, {.with_embedding = true});
  ASSERT_EQ(with.size(), 1U);
  EXPECT_EQ(to_json(with[0], true), to_json(stored, true));
  EXPECT_EQ(with[0].embedding, stored.embedding);
  const std::vector<Document> without = find({});
  EXPECT_TRUE(without[0].embedding.empty());
  EXPECT_EQ(to_json(without[0], false), to_json(stored, false));
}

// What producers may put into extra, gpu_hardware and fields of their own.
TEST_P(StoreConformance, JsonOfAnyShapeComesBackEqual) {
  const char* const strange = R"({
    "": "no name", "a.b": 1, ".": 2, "..": 3, "$set": {"$inc": {"x.y": 1}}, "%2E": 4, "%": 5,
    "100%25": 6, "nul\u0000inside": 7, "_id": 8, "日本語": "🙂", "quote\"and\\": "\u0000\u001f",
    "whole": 9223372036854775807, "least": -9223372036854775808, "one": 1.0, "tenth": 0.1,
    "tiny": 5e-324, "huge": 1.7976931348623157e308, "minus": -0.0, "none": null, "yes": true,
    "empty": {}, "list": [], "mixed": [1, "1", 1.5, [[]], [{}], {"a": [null]}], "pipeline": "p"})";
  std::string deep = "1";
  for (int i = 0; i < 30; ++i)
    deep = (i % 2 == 0 ? "[" : "{\"n\":") + deep + (i % 2 == 0 ? "]" : "}");
  Document stored = make_document("a");
  stored.extra_json = strange;
  stored.gpu_hardware_json = R"(["a list", 1, {"a.b": "$c"}])";
  stored.other_json = R"({"camera.model": "x", "$where": 1, "offset": "mine", "version": [1],)"
                      R"( "deep": )" +
                      deep + "}";
  EXPECT_EQ(upsert({stored}), std::vector{kInserted});
  const std::vector<Document> found = find({.metadata_id = "a"});
  ASSERT_EQ(found.size(), 1U);
  using nlohmann::json;
  EXPECT_EQ(json::parse(found[0].extra_json), json::parse(stored.extra_json));
  EXPECT_EQ(json::parse(found[0].gpu_hardware_json), json::parse(stored.gpu_hardware_json));
  EXPECT_EQ(json::parse(found[0].other_json), json::parse(stored.other_json));
  EXPECT_EQ(found[0].version, stored.version);
  EXPECT_EQ(found[0].offset, stored.offset);
}

TEST_P(StoreConformance, FiltersHoldOneByOneAndTogether) {
  std::vector<Document> batch;
  for (int i = 0; i < 8; ++i) {
    Document document = make_document("d" + std::to_string(i));
    document.ingested_at_us = 1000 + i;
    document.pipeline = i % 2 == 0 ? "even" : "odd";
    document.model_name = i < 4 ? std::optional<std::string>("resnet50") : std::nullopt;
    document.gpu.name = i < 6 ? std::optional<std::string>("NVIDIA A100") : std::nullopt;
    document.gpu.device = i < 6 ? "cuda" : "CPU";
    batch.push_back(document);
  }
  upsert(batch);
  using Ids = std::vector<std::string>;
  const FindOptions oldest_first = {.limit = 0, .newest_first = false};
  EXPECT_EQ(ids({.metadata_id = "d3"}), Ids{"d3"});
  EXPECT_EQ(ids({.metadata_id = "d"}), Ids{});
  EXPECT_EQ(ids({.pipeline = "even"}, oldest_first), (Ids{"d0", "d2", "d4", "d6"}));
  EXPECT_EQ(ids({.pipeline = "eve"}), Ids{});
  EXPECT_EQ(ids({.device = "a100"}, oldest_first), (Ids{"d0", "d1", "d2", "d3", "d4", "d5"}));
  EXPECT_EQ(ids({.device = "cpu"}, oldest_first), (Ids{"d6", "d7"}));
  EXPECT_EQ(ids({.device = "CUDA"}).size(), 6U);
  EXPECT_EQ(ids({.device = "%"}), Ids{});
  EXPECT_EQ(ids({.device = "."}), Ids{});
  EXPECT_EQ(ids({.device = "A a1"}).size(), 6U);
  EXPECT_EQ(ids({.model = "resnet50"}, oldest_first), (Ids{"d0", "d1", "d2", "d3"}));
  EXPECT_EQ(ids({.from_us = 1006}, oldest_first), (Ids{"d6", "d7"}));
  EXPECT_EQ(ids({.until_us = 1002}, oldest_first), (Ids{"d0", "d1"}));
  const Filter all = {.pipeline = "odd",
                      .device = "nvidia",
                      .model = "resnet50",
                      .from_us = 1001,
                      .until_us = 1003};
  EXPECT_EQ(ids(all), Ids{"d1"});
  EXPECT_EQ(*store_->count(all), 1U);
  EXPECT_EQ(*store_->count({.pipeline = "even"}), 4U);
}

TEST_P(StoreConformance, NewestComeFirstUpToTheLimitAndZeroMeansAll) {
  std::vector<Document> batch;
  for (int i = 0; i < 30; ++i) {
    batch.push_back(make_document("d" + std::to_string(i)));
    batch.back().ingested_at_us = (i * 7) % 30;
  }
  upsert(batch);
  EXPECT_EQ(find({}, {}).size(), 20U);
  const std::vector<Document> newest = find({}, {.limit = 3});
  ASSERT_EQ(newest.size(), 3U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(newest[static_cast<size_t>(i)].ingested_at_us, 29 - i);
  EXPECT_EQ(find({}, {.limit = 1, .newest_first = false})[0].ingested_at_us, 0);
  EXPECT_EQ(find({}, {.limit = 0}).size(), 30U);
}

TEST_P(StoreConformance, AVisitorStopsTheSearchAndMayUseTheStoreMeanwhile) {
  upsert({make_document("a"), make_document("b"), make_document("c")});
  int visits = 0;
  ASSERT_TRUE(store_
                  ->find({}, {},
                         [&](const Document&) {
                           upsert({make_document("written while reading")});
                           return ++visits < 2;
                         })
                  .is_ok());
  EXPECT_EQ(visits, 2);
  EXPECT_EQ(*store_->count({}), 4U);
}

TEST_P(StoreConformance, EveryDimensionComesBackExactly) {
  const std::vector<size_t> dims = {1, 2, 3, 15, 16, 17, 2047, 2048, 4096, 65'536};
  for (const size_t dim : dims) {
    std::vector<float> embedding(dim);
    for (size_t i = 0; i < dim; ++i) embedding[i] = 0.1F * static_cast<float>(i) - 3;
    const std::string id = "dim" + std::to_string(dim);
    upsert({make_document(id, 1, embedding)});
    const std::vector<Document> found =
        find({.metadata_id = id}, {.limit = 0, .with_embedding = true});
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].embedding, embedding);
    EXPECT_EQ(found[0].embedding_dim, dim);
  }
}

TEST_P(StoreConformance, IdsAreAnyUtf8EvenWithQuotesAndNulBytes) {
  using namespace std::string_literals;
  const std::vector<std::string> strange = {
      "日本語-🙂", "a'; DROP TABLE docs;--", "nul\0inside"s, "nul\0other"s, "\"\\\n\t\x7f",
      "%",         std::string(512, 'x')};
  for (const std::string& id : strange) {
    EXPECT_EQ(upsert({make_document(id)}), std::vector{kInserted});
  }
  for (const std::string& id : strange) {
    const std::vector<Document> found = find({.metadata_id = id});
    ASSERT_EQ(found.size(), 1U) << id;
    EXPECT_EQ(found[0].metadata_id, id);
    EXPECT_EQ(found[0].source_uri, "file:///photos/" + id + ".jpg");
  }
}

TEST_P(StoreConformance, WritersAndReadersWorkAtTheSameTime) {
  constexpr int kBatches = 40;
  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  for (int writer = 0; writer < 2; ++writer) {
    threads.emplace_back([&, writer] {
      for (int i = 0; i < kBatches; ++i) {
        const std::string id = std::to_string(writer) + "-" + std::to_string(i);
        upsert({make_document(id), make_document("shared", static_cast<uint64_t>(i) + 1)});
      }
    });
  }
  std::thread reader([&] {
    size_t seen = 0;
    while (!done) {
      const size_t now = find({}).size();
      EXPECT_GE(now, seen);
      seen = now;
      if (now == 0) continue;
      EXPECT_TRUE(store_->similar(std::vector<float>{1, 2, 2}, 3, {}));
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  reader.join();
  EXPECT_EQ(*store_->count({}), 2U * kBatches + 1);
  EXPECT_EQ(find({.metadata_id = "shared"})[0].version, static_cast<uint64_t>(kBatches));
}

}  // namespace
}  // namespace ca4::store
