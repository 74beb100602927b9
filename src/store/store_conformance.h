// What every DocumentStore must do, as two parameterised test suites. An implementation gives a
// Backend and instantiates both:
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreConformance, testing::Values(kMemory), backend_name);
//   INSTANTIATE_TEST_SUITE_P(Memory, StoreSimilar, testing::Values(kMemory), backend_name);
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/test_dir.h"
#include "store/document_store.h"
#include "store/store_test_support.h"

namespace ca4::store {

struct Backend {
  const char* name;
  // Opens the store that belongs to the folder `dir`, a fresh one for each test; nullptr with a
  // test failure when it can't be opened.
  std::unique_ptr<DocumentStore> (*open)(const std::string& dir);
};

inline std::string backend_name(const testing::TestParamInfo<Backend>& info) {
  return info.param.name;
}

class StoreConformance : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    store_ = GetParam().open(dir_.path());
    ASSERT_NE(store_, nullptr);
  }

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

  TempDir dir_;
  std::unique_ptr<DocumentStore> store_;
};

// Similarity.
class StoreSimilar : public StoreConformance {
 protected:
  std::vector<std::string> nearest(const std::vector<float>& query, size_t k,
                                   const Filter& filter = {}) {
    std::vector<std::string> found;
    const Result<std::vector<Neighbour>> neighbours = store_->similar(query, k, filter);
    EXPECT_TRUE(neighbours) << neighbours.status().to_string();
    if (!neighbours) return found;
    for (const Neighbour& neighbour : *neighbours) {
      EXPECT_TRUE(neighbour.document.embedding.empty());
      found.push_back(neighbour.document.metadata_id);
    }
    return found;
  }
};

}  // namespace ca4::store
