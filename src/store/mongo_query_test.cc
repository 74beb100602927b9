#include "store/mongo_query.h"

#include <gtest/gtest.h>

#include <memory>
#include <regex>

namespace ca4::store {
namespace {

std::string json(const BsonPtr& bson) {
  const std::unique_ptr<char, decltype(&bson_free)> text(
      bson_as_canonical_extended_json(bson.get(), nullptr), bson_free);
  std::string compact;
  for (const char* c = text.get(); *c != '\0'; ++c) {
    if (*c != ' ') compact += *c;
  }
  return compact;
}

TEST(MongoQuery, AFilterAsksForIndexedFields) {
  EXPECT_EQ(json(filter_bson({})), "{}");
  EXPECT_EQ(json(filter_bson({.metadata_id = "a",
                              .pipeline = "p",
                              .model = "m",
                              .from_us = 1'500'000,
                              .until_us = 2'000'001})),
            R"({"_id":"a","pipeline":"p","model_name":"m","ingested_at":)"
            R"({"$gte":{"$numberDouble":"1.5"},"$lt":{"$numberDouble":"2.0000010000000001398"}}})");
  EXPECT_EQ(json(filter_bson({.device = "a1"})),
            R"({"$or":[{"gpu.name":{"$regex":"[aA]1"}},{"gpu.device":{"$regex":"[aA]1"}}]})");
}

TEST(MongoQuery, APatternMatchesTheTextItselfAndNothingElse) {
  const std::string text = R"(a.b*c+d?e^f$g(h)i[j]k{l}m|n\o/p-q#r)";
  const std::regex pattern(substring_pattern(text));
  EXPECT_TRUE(std::regex_search("before " + text + " behind", pattern));
  EXPECT_TRUE(std::regex_search(R"(A.B*C+D?E^F$G(H)I[J]K{L}M|N\O/P-Q#R)", pattern));
  EXPECT_FALSE(std::regex_search("axbbc", pattern));
  EXPECT_EQ(substring_pattern(std::string("\0", 1)), "\\x00");
  EXPECT_EQ(substring_pattern("Ä"), "Ä");
}

TEST(MongoQuery, AnUpsertReplacesOlderVersionsOnly) {
  EXPECT_EQ(json(older_bson("a", 7)),
            R"({"_id":"a","version":{"$gte":{"$numberLong":"0"},"$lt":{"$numberLong":"7"}}})");
  EXPECT_EQ(json(older_bson("a", uint64_t{1} << 63U)),
            R"({"_id":"a","version":{"$lt":{"$numberLong":"-9223372036854775808"}}})");
  EXPECT_EQ(json(exactly_bson("a", nullptr)), R"({"_id":"a","version":null})");
}

TEST(MongoQuery, FindOrdersLimitsAndLeavesOutTheEmbedding) {
  EXPECT_EQ(json(find_options_bson({.limit = 3})),
            R"({"sort":{"ingested_at":{"$numberInt":"-1"}},"limit":{"$numberLong":"3"},)"
            R"("batchSize":{"$numberInt":"1000"},"projection":{"embedding":{"$numberInt":"0"}}})");
  EXPECT_EQ(json(find_options_bson({.limit = 0, .newest_first = false, .with_embedding = true})),
            R"({"sort":{"ingested_at":{"$numberInt":"1"}},"batchSize":{"$numberInt":"128"}})");
}

// The stages as Atlas' and DocumentDB's manuals have them; neither can be had for a test.
TEST(MongoQuery, VectorSearchIsAskedForAsEachServiceWantsIt) {
  const std::vector<float> query = {0.5F, -1};
  const std::string vector = R"([{"$numberDouble":"0.5"},{"$numberDouble":"-1.0"}])";
  EXPECT_EQ(json(vector_search_bson(MongoVectorSearch::kAtlas, "embeddings", query, 10)),
            R"({"pipeline":[{"$vectorSearch":{"index":"embeddings","path":"embedding",)"
            R"("queryVector":)" +
                vector +
                R"(,"numCandidates":{"$numberLong":"200"},"limit":{"$numberLong":"10"}}}]})");
  EXPECT_EQ(json(vector_search_bson(MongoVectorSearch::kDocumentDb, "", query, 10)),
            R"({"pipeline":[{"$search":{"vectorSearch":{"vector":)" + vector +
                R"(,"path":"embedding","similarity":"cosine","k":{"$numberLong":"10"}}}}]})");
}

TEST(MongoQuery, AtlasIsNeverAskedForMoreThanItGives) {
  const std::vector<float> query = {1};
  const std::string many = json(vector_search_bson(MongoVectorSearch::kAtlas, "i", query, 50'000));
  EXPECT_NE(many.find(R"("numCandidates":{"$numberLong":"10000"},"limit":{"$numberLong":"10000"})"),
            many.npos)
      << many;
}

}  // namespace
}  // namespace ca4::store
