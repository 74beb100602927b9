// What the store tests share: the back ends that the conformance suite runs over, and documents.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/test_dir.h"
#include "store/document_store.h"
#include "store/embedded_store.h"
#include "store/memory_store.h"

namespace ca4::store {

struct Backend {
  const char* name;
  // Opens the store kept in `dir`; nullptr with a test failure when it can't be opened.
  std::unique_ptr<DocumentStore> (*open)(const std::string& dir);
};

inline std::unique_ptr<DocumentStore> open_memory(const std::string&) {
  return std::make_unique<MemoryStore>();
}

inline std::unique_ptr<DocumentStore> open_embedded(const std::string& dir) {
  Result<std::unique_ptr<EmbeddedStore>> store = EmbeddedStore::open({.dir = dir});
  EXPECT_TRUE(store) << store.status().to_string();
  return store ? std::move(*store) : nullptr;
}

inline constexpr Backend kBackends[] = {{"memory", open_memory}, {"embedded", open_embedded}};

class StoreConformance : public testing::TestWithParam<Backend> {
 protected:
  TempDir dir_;
  std::unique_ptr<DocumentStore> store_ = GetParam().open(dir_.path());

  std::vector<Outcome> upsert(const std::vector<Document>& batch) {
    const Result<std::vector<UpsertResult>> results = store_->upsert(batch);
    EXPECT_TRUE(results) << results.status().to_string();
    std::vector<Outcome> outcomes;
    if (results) {
      for (const UpsertResult& result : *results) outcomes.push_back(result.outcome);
    }
    return outcomes;
  }
  std::vector<Document> find(const Filter& filter, const FindOptions& options = {.limit = 0}) {
    std::vector<Document> found;
    const Status status = store_->find(filter, options, [&](const Document& document) {
      found.push_back(document);
      return true;
    });
    EXPECT_TRUE(status.is_ok()) << status.to_string();
    return found;
  }
  std::vector<std::string> ids(const Filter& filter, const FindOptions& options = {.limit = 0}) {
    std::vector<std::string> found;
    for (const Document& document : find(filter, options)) found.push_back(document.metadata_id);
    return found;
  }
};

// A complete document; tests change what they are about.
inline Document make_document(const std::string& id, uint64_t version = 1,
                              std::vector<float> embedding = {1, 2, 2}) {
  Document document;
  document.metadata_id = id;
  document.version = version;
  document.source_uri = "file:///photos/" + id + ".jpg";
  document.gpu_hardware_json = R"({"available":true,"name":"NVIDIA A100","total_memory_gb":42.4})";
  document.extra_json = R"({"pipeline":"demo","tags":["a","b"],"notes":"x"})";
  document.other_json = R"({"camera":{"iso":100}})";
  document.model_name = "resnet50";
  document.timestamp = 1795460297.25;
  document.pipeline = "demo";
  document.tags = {"a", "b"};
  document.gpu.available = true;
  document.gpu.device = "cuda";
  document.gpu.name = "NVIDIA A100";
  document.gpu.memory_total_bytes = 42'400'000'000;
  document.embedding = std::move(embedding);
  document.l2_norm = 3;
  document.payload_hash = "00ff";
  document.ingested_at_us = 1'795'460'297'000'123;
  document.processed_at_us = 1'795'460'298'000'456;
  document.topic = "gpu-metadata";
  document.partition = 3;
  document.offset = 1234567890123;
  return document;
}

}  // namespace ca4::store
