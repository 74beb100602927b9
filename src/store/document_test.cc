#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "store/store_test_support.h"

namespace ca4::store {
namespace {

TEST(DocumentJson, HasTheContractsFieldsFirstAndInOrder) {
  EXPECT_EQ(
      to_json(make_document("img-1"), false),
      R"({"metadata_id":"img-1","source_uri":"file:///photos/img-1.jpg","embedding_dim":3,)"
      R"("gpu_hardware":{"available":true,"name":"NVIDIA A100","total_memory_gb":42.4},)"
      R"("extra":{"pipeline":"demo","tags":["a","b"],"notes":"x"},)"
      R"("ingested_at":1795460297.000123,"topic":"gpu-metadata","partition":3,)"
      R"("offset":1234567890123,"pipeline":"demo","tags":["a","b"],)"
      R"("gpu":{"available":true,"device":"cuda","name":"NVIDIA A100",)"
      R"("memory_total_bytes":42400000000},"model_name":"resnet50","timestamp":1795460297.25,)"
      R"("l2_norm":3,"payload_hash":"00ff","ingested_at_date":"2026-11-23T18:58:17.000123Z",)"
      R"("processed_at":"2026-11-23T18:58:18.000456Z","version":1,"schema_version":1,)"
      R"("camera":{"iso":100}})");
}

TEST(DocumentJson, ReadsBackToTheSameText) {
  Document document = make_document("id \"\\\n\x01 ü");
  document.version = ~uint64_t{0};
  document.source_type = "image";
  document.model_version = "2";
  document.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  document.gpu.memory_allocated_bytes = 1;
  document.gpu.memory_reserved_bytes = 2;
  document.gpu.multi_processor_count = 108;
  document.gpu.cuda_compute_capability = "8.0";
  document.gpu.cuda_version = "12.1";
  document.embedding = {0.1F, -3.4e38F, 1e-45F, 0};
  document.gpu_hardware_json = R"([1.50, {"a" : null}])";
  const std::string json = to_json(document, true);
  const Result<Document> read = from_json(json);
  ASSERT_TRUE(read) << read.status().message();
  EXPECT_EQ(to_json(*read, true), json);
  EXPECT_EQ(read->metadata_id, document.metadata_id);
  EXPECT_EQ(read->version, document.version);
  EXPECT_EQ(read->traceparent, document.traceparent);
  EXPECT_EQ(read->embedding, document.embedding);
  EXPECT_EQ(read->gpu_hardware_json, document.gpu_hardware_json);
  EXPECT_EQ(read->ingested_at_us, document.ingested_at_us);
  EXPECT_EQ(read->processed_at_us, document.processed_at_us);
}

TEST(DocumentJson, EmptyMembersAreStillValidJson) {
  Document document;
  document.metadata_id = "a";
  document.l2_norm = std::numeric_limits<double>::infinity();
  document.ingested_at_us = -1;
  const std::string json = to_json(document, true);
  const auto parsed = nlohmann::json::parse(json);
  EXPECT_TRUE(parsed["gpu_hardware"].is_null());
  EXPECT_TRUE(parsed["source_uri"].is_null());
  EXPECT_TRUE(parsed["l2_norm"].is_null());
  EXPECT_EQ(parsed["extra"], nlohmann::json::object());
  EXPECT_EQ(from_json(json)->ingested_at_us, -1);
}

TEST(DocumentJson, UnknownFieldsNeverShadowOurs) {
  Document document = make_document("a");
  document.other_json = R"({"x":1,"version":99,"t\u006fpic":"mine","embedding":[1],"y\"":2})";
  const std::string json = to_json(document, false);
  const auto parsed = nlohmann::json::parse(json);
  EXPECT_EQ(parsed["version"], 1);
  EXPECT_EQ(parsed["topic"], "gpu-metadata");
  EXPECT_EQ(parsed["x"], 1);
  EXPECT_EQ(parsed["y\""], 2);
  EXPECT_EQ(parsed["other"]["version"], 99);
  EXPECT_EQ(parsed["other"]["topic"], "mine");
  const Result<Document> read = from_json(json);
  ASSERT_TRUE(read);
  EXPECT_EQ(nlohmann::json::parse(read->other_json), nlohmann::json::parse(document.other_json));
  EXPECT_EQ(to_json(*read, false), json);
}

TEST(DocumentJson, WhatIsNoDocumentIsCorruption) {
  for (const char* json : {"", "null", "[]", "{}", R"({"metadata_id":7})", R"({"metadata_id":"a")",
                           R"({"metadata_id":"a"} {})", R"({"metadata_id":"a","offset":"x"})"}) {
    const Result<Document> read = from_json(json);
    ASSERT_FALSE(read) << json;
    EXPECT_EQ(read.status().code(), Code::kCorruption);
  }
}

}  // namespace
}  // namespace ca4::store
