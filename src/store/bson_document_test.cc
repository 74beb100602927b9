#include "store/bson_document.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "store/cosine.h"
#include "store/store_test_support.h"

namespace ca4::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

BsonPtr encoded(const Document& document, MongoEmbedding form = MongoEmbedding::kArray) {
  BsonPtr bson;
  const Status status = BsonEncoder(form).encode(document, *bson);
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  return bson;
}

bson_iter_t field(const BsonPtr& bson, const char* name) {
  bson_iter_t at{};
  EXPECT_TRUE(bson_iter_init_find(&at, bson.get(), name)) << name;
  return at;
}

TEST(BsonDocument, HasTheContractsFieldsWithTheirTypes) {
  const BsonPtr bson = encoded(make_document("img-1"));
  const std::pair<const char*, bson_type_t> expected[] = {{"_id", BSON_TYPE_UTF8},
                                                          {"metadata_id", BSON_TYPE_UTF8},
                                                          {"source_uri", BSON_TYPE_UTF8},
                                                          {"embedding_dim", BSON_TYPE_INT32},
                                                          {"gpu_hardware", BSON_TYPE_DOCUMENT},
                                                          {"extra", BSON_TYPE_DOCUMENT},
                                                          {"ingested_at", BSON_TYPE_DOUBLE},
                                                          {"topic", BSON_TYPE_UTF8},
                                                          {"partition", BSON_TYPE_INT32},
                                                          {"offset", BSON_TYPE_INT64},
                                                          {"pipeline", BSON_TYPE_UTF8},
                                                          {"tags", BSON_TYPE_ARRAY},
                                                          {"gpu", BSON_TYPE_DOCUMENT},
                                                          {"model_name", BSON_TYPE_UTF8},
                                                          {"timestamp", BSON_TYPE_DOUBLE},
                                                          {"l2_norm", BSON_TYPE_DOUBLE},
                                                          {"payload_hash", BSON_TYPE_UTF8},
                                                          {"ingested_at_date", BSON_TYPE_DATE_TIME},
                                                          {"processed_at", BSON_TYPE_DATE_TIME},
                                                          {"processed_at_us", BSON_TYPE_INT64},
                                                          {"version", BSON_TYPE_INT64},
                                                          {"schema_version", BSON_TYPE_INT32},
                                                          {"camera", BSON_TYPE_DOCUMENT},
                                                          {"embedding", BSON_TYPE_ARRAY}};
  bson_iter_t at;
  ASSERT_TRUE(bson_iter_init(&at, bson.get()));
  for (const auto& [name, type] : expected) {
    ASSERT_TRUE(bson_iter_next(&at)) << name;
    EXPECT_STREQ(bson_iter_key(&at), name);
    EXPECT_EQ(bson_iter_type(&at), type) << name;
  }
  EXPECT_FALSE(bson_iter_next(&at));
  bson_iter_t date = field(bson, "ingested_at_date");
  EXPECT_EQ(bson_iter_date_time(&date), 1'795'460'297'000);
  bson_iter_t seconds = field(bson, "ingested_at");
  EXPECT_EQ(bson_iter_double(&seconds), 1795460297.000123);
}

TEST(BsonDocument, ComesBackAsItWasInEveryForm) {
  const Document document = make_document("a");
  for (const MongoEmbedding form : {MongoEmbedding::kArray, MongoEmbedding::kVector}) {
    const Result<Document> back = from_bson(*encoded(document, form));
    ASSERT_TRUE(back) << back.status().to_string();
    EXPECT_EQ(to_json(*back, true), to_json(document, true));
    EXPECT_EQ(back->embedding, document.embedding);
  }
  const Result<Document> without = from_bson(*encoded(document, MongoEmbedding::kNone));
  ASSERT_TRUE(without);
  EXPECT_EQ(to_json(*without, false), to_json(document, false));
  EXPECT_TRUE(without->embedding.empty());
}

TEST(BsonDocument, EveryMicrosecondAndEveryFloatIsKept) {
  Document document = make_document("a");
  const float infinity = std::numeric_limits<float>::infinity();
  document.embedding = {0.1F, -0.0F, std::nextafterf(1, 2), 1e-45F, 3.4028235e38F, infinity};
  for (const int64_t us : {int64_t{0}, int64_t{1}, int64_t{999'999}, int64_t{1'795'460'297'999'999},
                           int64_t{4'102'444'800'000'001}}) {
    document.ingested_at_us = us;
    document.processed_at_us = us;
    for (const MongoEmbedding form : {MongoEmbedding::kArray, MongoEmbedding::kVector}) {
      const Result<Document> back = from_bson(*encoded(document, form));
      ASSERT_TRUE(back);
      EXPECT_EQ(back->ingested_at_us, us);
      EXPECT_EQ(back->processed_at_us, us);
      EXPECT_EQ(as_bytes(back->embedding), as_bytes(document.embedding));
    }
  }
}

// The template of an array and the document's memory are reused; libbson's own reading is the
// judge.
TEST(BsonDocument, ArraysOfEveryLengthAreWhatLibbsonWouldWrite) {
  BsonEncoder encoder(MongoEmbedding::kArray);
  const BsonPtr bson;
  for (const size_t dim :
       {1U, 9U, 10U, 11U, 100U, 2U, 1000U, 1001U, 10'000U, 10'001U, 65'536U, 3U}) {
    Document document = make_document("a");
    document.embedding.resize(dim);
    for (size_t i = 0; i < dim; ++i) document.embedding[i] = 0.3F * static_cast<float>(i) - 7;
    ASSERT_TRUE(encoder.encode(document, *bson).is_ok());
    ASSERT_TRUE(bson_validate(bson.get(), BSON_VALIDATE_UTF8_ALLOW_NULL, nullptr));
    bson_iter_t at;
    ASSERT_TRUE(bson_iter_init_find(&at, bson.get(), "embedding"));
    ASSERT_TRUE(bson_iter_recurse(&at, &at));
    size_t i = 0;
    for (; bson_iter_next(&at); ++i) {
      ASSERT_EQ(bson_iter_key(&at), std::to_string(i));
      ASSERT_EQ(bson_iter_double(&at), static_cast<double>(document.embedding[i]));
    }
    EXPECT_EQ(i, dim);
    const Result<Document> back = from_bson(*bson);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->embedding, document.embedding);
  }
}

// By other programs: integers, doubles among them, and names that are no indexes.
TEST(BsonDocument, ArraysOfNumbersOfAnyKindAreEmbeddings) {
  const char* const arrays[] = {R"({"embedding": [1, 2.5, -3]})", R"({"embedding": [1.5, 2]})",
                                R"({"embedding": []})",
                                R"({"embedding": [{"$numberLong": "1"}, 1.5]})"};
  const std::vector<float> expected[] = {{1, 2.5, -3}, {1.5, 2}, {}, {1, 1.5}};
  for (size_t i = 0; i < std::size(arrays); ++i) {
    const BsonPtr bson(
        bson_new_from_json(reinterpret_cast<const uint8_t*>(arrays[i]), -1, nullptr));
    const Result<Document> back = from_bson(*bson);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->embedding, expected[i]);
  }
  const BsonPtr bson;
  bson_t array;
  BSON_APPEND_ARRAY_BEGIN(bson.get(), "embedding", &array);
  for (const char* const name : {"0", "first", "1", ""}) BSON_APPEND_DOUBLE(&array, name, 1.5);
  bson_append_array_end(bson.get(), &array);
  EXPECT_EQ(from_bson(*bson)->embedding, (std::vector<float>{1.5, 1.5, 1.5, 1.5}));
}

TEST(BsonDocument, AVectorIsBinarySubtypeNineWithItsHead) {
  const BsonPtr bson = encoded(make_document("a", 1, {1, -2}), MongoEmbedding::kVector);
  const bson_iter_t at = field(bson, "embedding");
  bson_subtype_t subtype{};
  uint32_t size = 0;
  const uint8_t* data = nullptr;
  bson_iter_binary(&at, &subtype, &size, &data);
  EXPECT_EQ(static_cast<int>(subtype), 9);
  EXPECT_THAT(std::vector<int>(data, data + size),
              ElementsAre(0x27, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0));
}

TEST(BsonDocument, VectorsOfOtherKindsAreNotTakenForFloats) {
  for (const std::string_view bytes :
       {std::string_view("\x03\x00\x01", 3), std::string_view("\x27\x00\x01", 3),
        std::string_view("", 0), std::string_view("\x27", 1)}) {
    const BsonPtr bson;
    bson_append_binary(bson.get(), "embedding", -1, static_cast<bson_subtype_t>(9),
                       reinterpret_cast<const uint8_t*>(bytes.data()),
                       static_cast<uint32_t>(bytes.size()));
    const Result<Document> back = from_bson(*bson);
    ASSERT_TRUE(back);
    EXPECT_TRUE(back->embedding.empty());
  }
}

TEST(BsonDocument, FieldsThatWouldShadowOursAreKeptApart) {
  Document document = make_document("a");
  document.other_json = R"({"offset":"mine","_id":5,"lens":"f/2","processed_at_us":[1]})";
  const BsonPtr bson = encoded(document);
  EXPECT_TRUE(bson_has_field(bson.get(), "lens"));
  EXPECT_TRUE(bson_has_field(bson.get(), "other.offset"));
  bson_iter_t id = field(bson, "_id");
  EXPECT_TRUE(BSON_ITER_HOLDS_UTF8(&id));
  const Result<Document> back = from_bson(*bson);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->offset, document.offset);
  EXPECT_EQ(nlohmann::json::parse(back->other_json), nlohmann::json::parse(document.other_json));
}

TEST(BsonDocument, VersionsAreInt64OfTheSameBits) {
  for (const uint64_t version : {uint64_t{0}, uint64_t{1} << 63U, ~uint64_t{0}}) {
    const Result<Document> back = from_bson(*encoded(make_document("a", version)));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->version, version);
  }
}

TEST(BsonDocument, WhatNoServerTakesIsRefusedWithAReason) {
  BsonEncoder encoder(MongoEmbedding::kArray);
  const BsonPtr bson;
  const auto reason = [&](const Document& document) {
    const Status status = encoder.encode(document, *bson);
    return status.is_ok() ? "" : status.to_string();
  };
  Document document = make_document("a");
  document.tags = {"\xff"};
  EXPECT_EQ(reason(document), "invalid_argument: text that is not UTF-8");
  document = make_document("a");
  document.gpu.name = "\xc3";
  EXPECT_EQ(reason(document), "invalid_argument: text that is not UTF-8");
  document = make_document("a");
  document.extra_json = "{";
  EXPECT_THAT(reason(document), HasSubstr("invalid_argument: extra: not JSON"));
  document.extra_json = R"({"x":")" + std::string(kBsonDocumentBytesMax, 'x') + "\"}";
  EXPECT_THAT(reason(document), HasSubstr("too_large: "));
  EXPECT_EQ(reason(make_document("a")), "") << "the encoder goes on after a refusal";
}

TEST(BsonDocument, DamageIsReported) {
  const BsonPtr bson = encoded(make_document("a"));
  std::vector<uint8_t> bytes(bson_get_data(bson.get()), bson_get_data(bson.get()) + bson->len);
  bytes[4] = 0x7e;  // a type that is none
  bson_t damaged;
  ASSERT_TRUE(bson_init_static(&damaged, bytes.data(), bytes.size()));
  EXPECT_EQ(from_bson(damaged).status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace ca4::store
