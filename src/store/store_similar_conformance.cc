// The conformance suite of the DocumentStore port: similarity.
#include <cmath>
#include <random>

#include "store/store_conformance.h"

namespace ca4::store {
namespace {

using Ids = std::vector<std::string>;

TEST_P(StoreSimilar, RanksByCosineWhateverTheLengths) {
  upsert({make_document("opposite", 1, {-5, 0}), make_document("same", 1, {0.001F, 0}),
          make_document("right angle", 1, {0, 9}), make_document("between", 1, {7, 7})});
  const Result<std::vector<Neighbour>> found = store_->similar(std::vector<float>{3, 0}, 10, {});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 4U);
  const std::pair<const char*, double> expected[] = {
      {"same", 1}, {"between", std::sqrt(0.5)}, {"right angle", 0}, {"opposite", -1}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ((*found)[i].document.metadata_id, expected[i].first);
    EXPECT_NEAR((*found)[i].cosine, expected[i].second, 1e-6);
  }
}

TEST_P(StoreSimilar, GivesTheKBestOrAllThereAre) {
  upsert({make_document("a", 1, {1, 0}), make_document("b", 1, {1, 1}),
          make_document("c", 1, {0, 1})});
  EXPECT_EQ(nearest({1, 0}, 2), (Ids{"a", "b"}));
  EXPECT_EQ(nearest({1, 0}, 1), Ids{"a"});
  EXPECT_EQ(nearest({1, 0}, 100).size(), 3U);
  EXPECT_TRUE(nearest({1, 0}, 0).empty());
}

TEST_P(StoreSimilar, TiesAreAllGivenAndTheSameEachTime) {
  for (const char* id : {"a", "b", "c"}) upsert({make_document(id, 1, {2, 2})});
  upsert({make_document("worse", 1, {1, 2})});
  EXPECT_EQ(nearest({1, 1}, 4), (Ids{"a", "b", "c", "worse"}));
  EXPECT_EQ(nearest({1, 1}, 2), (Ids{"a", "b"}));
}

TEST_P(StoreSimilar, OtherDimensionsAndZeroVectorsAreLeftOut) {
  upsert({make_document("two", 1, {1, 0}), make_document("three", 1, {1, 0, 0}),
          make_document("zero", 1, {0, 0})});
  EXPECT_EQ(nearest({1, 0}, 10), Ids{"two"});
  EXPECT_EQ(nearest({1, 0, 0}, 10), Ids{"three"});
  EXPECT_TRUE(nearest({1, 0, 0, 0}, 10).empty());
}

TEST_P(StoreSimilar, OnlyTheFiltersDocumentsCount) {
  Document other = make_document("other", 1, {1, 0});
  other.pipeline = "other";
  other.gpu.name = "NVIDIA H100";
  other.ingested_at_us = 5;
  upsert({make_document("demo", 1, {0, 1}), other});
  EXPECT_EQ(nearest({1, 0}, 1, {.pipeline = "demo"}), Ids{"demo"});
  EXPECT_EQ(nearest({0, 1}, 9, {.device = "h100"}), Ids{"other"});
  EXPECT_EQ(nearest({0, 1}, 9, {.until_us = 6}), Ids{"other"});
  EXPECT_EQ(nearest({0, 1}, 9, {.metadata_id = "other"}), Ids{"other"});
  EXPECT_TRUE(nearest({1, 0}, 9, {.pipeline = "none"}).empty());
}

TEST_P(StoreSimilar, AnUpdatedEmbeddingCountsAndTheOldOneDoesNot) {
  upsert({make_document("a", 1, {1, 0}), make_document("b", 1, {1, 1})});
  upsert({make_document("a", 2, {-1, 0})});
  EXPECT_EQ(nearest({1, 0}, 2), (Ids{"b", "a"}));
}

TEST_P(StoreSimilar, AQueryWithoutDirectionIsRefused) {
  upsert({make_document("a", 1, {1, 0})});
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<std::vector<float>> wrong = {{}, {0, 0}, {infinity, 1}, {std::nanf(""), 1}};
  for (const std::vector<float>& query : wrong) {
    const Result<std::vector<Neighbour>> found = store_->similar(query, 3, {});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.status().code(), Code::kInvalidArgument);
  }
}

TEST_P(StoreSimilar, HugeAndTinyValuesKeepTheirRank) {
  upsert({make_document("huge", 1, {3e38F, 3e38F}), make_document("tiny", 1, {1e-38F, 0})});
  EXPECT_EQ(nearest({2e38F, 2e38F}, 2), (Ids{"huge", "tiny"}));
  EXPECT_EQ(nearest({1e-38F, 0}, 2), (Ids{"tiny", "huge"}));
}

// Enough rows that every thread of a search has its part, against a search in plain doubles.
TEST_P(StoreSimilar, ManyDocumentsAreRankedAsASimpleLoopRanksThem) {
  constexpr size_t kDocuments = 2500;
  constexpr size_t kDim = 37;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<Document> batch;
  for (size_t i = 0; i < kDocuments; ++i) {
    std::vector<float> embedding(kDim);
    for (float& x : embedding) x = normal(random);
    batch.push_back(make_document("d" + std::to_string(i), 1, embedding));
  }
  upsert(batch);
  const std::vector<float>& query = batch[1234].embedding;
  const auto cosine_to_query = [&](const std::vector<float>& v) {
    double product = 0;
    double square = 0;
    double query_square = 0;
    for (size_t i = 0; i < kDim; ++i) {
      product += double{v[i]} * double{query[i]};
      square += double{v[i]} * double{v[i]};
      query_square += double{query[i]} * double{query[i]};
    }
    return product / std::sqrt(square * query_square);
  };
  std::vector<std::pair<double, std::string>> expected;
  for (const Document& document : batch) {
    expected.emplace_back(-cosine_to_query(document.embedding), document.metadata_id);
  }
  std::sort(expected.begin(), expected.end());
  Ids best;
  for (size_t i = 0; i < 10; ++i) best.push_back(expected[i].second);
  EXPECT_EQ(best[0], "d1234");
  EXPECT_EQ(nearest(query, 10), best);
}

}  // namespace
}  // namespace ca4::store
