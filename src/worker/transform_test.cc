#include "worker/transform.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "worker/test_support.h"

namespace ca4::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const TransformContext kContext{"gpu-metadata", 3, 42, 1'700'000'001'000'000};

// The document; without one "CAUSE, REASON" in the status.
Result<store::Document> transformed(const std::string& bytes) {
  store::Document document;
  Failure failure;
  if (transform(event::decode(bytes).value(), kContext, document, failure)) return document;
  EXPECT_EQ(failure.stage, "transform");
  return Status(Code::kInvalidArgument, failure.cause + ", " + failure.reason);
}

// Transforms an event with this metadata.
Result<store::Document> of_meta(const std::string& meta) {
  event::Event event = make_event("img-1", 7);
  event.meta_json = meta;
  return transformed(event::encode(event));
}

std::string with_gpu(const std::string& gpu) {
  return R"({"metadata_id":"img-1","source_uri":null,"embedding_dim":2,"gpu_hardware":)" + gpu +
         R"(,"extra":{"pipeline":"p"}})";
}

TEST(Transform, NumbersOfMoreDigitsThan64BitsAreReadAsWritten) {
  const auto made =
      of_meta(R"({"metadata_id":"img-1","source_uri":null,"embedding_dim":2,"gpu_hardware":null,)"
              R"("extra":{"pipeline":"p"},"timestamp":0.145500160753726931472})");
  ASSERT_TRUE(made) << made.status().to_string();
  EXPECT_EQ(made->timestamp, 0.145500160753726931472);
}

TEST(Transform, KeepsEveryFieldAndAddsWhereItCameFrom) {
  const auto made = of_meta(
      R"({"metadata_id":"img-1","source_uri":"s3://b/k\n","embedding_dim":2,"gpu_hardware":null,)"
      R"("extra":{"pipeline":"nightly","tags":["a","b"],"notes":"x"},"source_type":"image",)"
      R"("model_name":"resnet50","model_version":"2","timestamp":1700000000.5})");
  ASSERT_TRUE(made) << made.status().to_string();
  EXPECT_EQ(made->metadata_id, "img-1");
  EXPECT_EQ(made->version, 7U);
  EXPECT_EQ(made->source_uri, "s3://b/k\n");
  EXPECT_EQ(made->gpu_hardware_json, "null");
  EXPECT_EQ(made->extra_json, R"({"pipeline":"nightly","tags":["a","b"],"notes":"x"})");
  EXPECT_EQ(made->other_json, "{}");
  EXPECT_EQ(made->source_type, "image");
  EXPECT_EQ(made->model_name, "resnet50");
  EXPECT_EQ(made->model_version, "2");
  EXPECT_EQ(made->timestamp, 1700000000.5);
  EXPECT_EQ(made->pipeline, "nightly");
  EXPECT_THAT(made->tags, ElementsAre("a", "b"));
  EXPECT_THAT(made->embedding, ElementsAre(3.0F, 4.0F));
  EXPECT_EQ(made->topic, "gpu-metadata");
  EXPECT_EQ(made->partition, 3);
  EXPECT_EQ(made->offset, 42);
  EXPECT_EQ(made->ingested_at_us, 1'700'000'000'000'000);
  EXPECT_EQ(made->processed_at_us, 1'700'000'001'000'000);
  EXPECT_EQ(made->payload_hash.size(), 64U);
}

TEST(Transform, GivesGpuDetailsTypesAndUnits) {
  const auto made = of_meta(
      with_gpu(R"({"available":true,"device":"cuda","name":"Tesla T4","total_memory_gb":15.83,)"
               R"("multi_processor_count":40,"cuda_compute_capability":"7.5",)"
               R"("memory_allocated_mb":512,"memory_reserved_mb":1024.25,"cuda_version":"12.4",)"
               R"("pytorch_version":"2.5"})"));
  ASSERT_TRUE(made) << made.status().to_string();
  EXPECT_EQ(made->gpu.available, true);
  EXPECT_EQ(made->gpu.device, "cuda");
  EXPECT_EQ(made->gpu.name, "Tesla T4");
  EXPECT_EQ(made->gpu.memory_total_bytes, 15'830'000'000);
  EXPECT_EQ(made->gpu.memory_allocated_bytes, 512'000'000);
  EXPECT_EQ(made->gpu.memory_reserved_bytes, 1'024'250'000);
  EXPECT_EQ(made->gpu.multi_processor_count, 40);
  EXPECT_EQ(made->gpu.cuda_compute_capability, "7.5");
  EXPECT_EQ(made->gpu.cuda_version, "12.4");
  EXPECT_THAT(made->gpu_hardware_json, HasSubstr(R"("pytorch_version":"2.5")"));
}

TEST(Transform, LeavesGpuFieldsOfAnotherTypeOutOfTheTypedPart) {
  const std::string gpu =
      R"({"available":"yes","device":{"a":[1]},"name":7,"total_memory_gb":"16",)"
      R"("multi_processor_count":4.5,"memory_allocated_mb":-1,"memory_reserved_mb":1e300,)"
      R"("cuda_compute_capability":[7,5],"cuda_version":"12.4"})";
  const auto made = of_meta(with_gpu(gpu));
  ASSERT_TRUE(made) << made.status().to_string();
  EXPECT_FALSE(made->gpu.available);
  EXPECT_FALSE(made->gpu.device);
  EXPECT_FALSE(made->gpu.name);
  EXPECT_FALSE(made->gpu.memory_total_bytes);
  EXPECT_FALSE(made->gpu.memory_allocated_bytes);
  EXPECT_FALSE(made->gpu.memory_reserved_bytes);
  EXPECT_FALSE(made->gpu.multi_processor_count);
  EXPECT_FALSE(made->gpu.cuda_compute_capability);
  EXPECT_EQ(made->gpu.cuda_version, "12.4");  // what follows the odd ones is still read
  EXPECT_EQ(made->gpu_hardware_json, gpu);
}

TEST(Transform, TakesAGpuBlockThatIsNoObject) {
  for (const char* gpu : {"\"T4\"", "[1,2]", "5", "true", "{}"}) {
    const auto made = of_meta(with_gpu(gpu));
    ASSERT_TRUE(made) << gpu << ": " << made.status().to_string();
    EXPECT_EQ(made->gpu_hardware_json, gpu);
    EXPECT_FALSE(made->gpu.name);
  }
}

TEST(Transform, KeepsUnknownFieldsByteForByte) {
  const auto made = of_meta(
      R"({"metadata_id":"img-1","source_uri":null,"embedding_dim":2,"gpu_hardware":null,)"
      R"("extra":{"pipeline":"p"},"big":123456789012345678901234567890,"k\"ey":{"a":[1,null]},)"
      R"("text":"\u00e4}"})");
  ASSERT_TRUE(made) << made.status().to_string();
  EXPECT_EQ(made->other_json,
            R"({"big":123456789012345678901234567890,"k\"ey":{"a":[1,null]},"text":"\u00e4}"})");
}

TEST(Transform, TakesTagsOnlyAsAListOfStrings) {
  for (const char* tags : {R"("a")", R"(["a",1])", R"({"a":"b"})", "null"}) {
    const auto made =
        of_meta(std::string(R"({"metadata_id":"img-1","embedding_dim":2,"extra":{"tags":)") + tags +
                R"(,"pipeline":"p"}})");
    ASSERT_TRUE(made) << tags << ": " << made.status().to_string();
    EXPECT_THAT(made->tags, IsEmpty()) << tags;
    EXPECT_EQ(made->pipeline, "p") << tags;
  }
}

TEST(Transform, NormIsSummedInDouble) {
  event::Event event = make_event("img-1", 1);
  event.embedding.assign(60'000, 1e-3F);
  event.embedding[0] = 1e4F;  // in float its square swallows all the others
  event.meta_json = R"({"embedding_dim":60000})";
  const auto made = transformed(event::encode(event));
  ASSERT_TRUE(made) << made.status().to_string();
  EXPECT_GT(made->l2_norm, 1e4 + 2.9e-6);
  EXPECT_LT(made->l2_norm, 1e4 + 3.1e-6);
}

TEST(Transform, SamePayloadHasTheSameHashWhateverItsVersion) {
  const event::Event first = make_event("a", 1);
  event::Event again = make_event("a", 2);
  again.ingested_at_us += 5;
  event::Event other = make_event("a", 1);
  other.embedding[1] = 4.5F;
  const auto hash = [](const event::Event& event) {
    return transformed(event::encode(event)).value().payload_hash;
  };
  EXPECT_EQ(hash(first), hash(again));
  EXPECT_NE(hash(first), hash(other));
}

TEST(Transform, NamesWhatCanNotBeStored) {
  const std::pair<const char*, const char*> cases[] = {
      {"[1]", "metadata, metadata: not the JSON object"},
      {"", "metadata, metadata: not the JSON object"},
      {R"({"embedding_dim":3})", "embedding_dim, embedding_dim: expected 2"},
      {R"({"extra":"x"})", "extra, extra: expected an object"},
      {R"({"source_uri":["x"]})", "source_uri, source_uri: expected a string"},
      {R"({"model_name":5})", "model_name, model_name: expected a string"},
      {R"({"gpu_hardware":{"a":)", "metadata, metadata: not the JSON object"},
  };
  for (const auto& [meta, reason] : cases) {
    const auto made = of_meta(meta);
    ASSERT_FALSE(made) << meta;
    EXPECT_THAT(made.status().message(), HasSubstr(reason)) << meta;
  }
}

TEST(Transform, RefusesAnEmbeddingThatIsNotFinite) {
  event::Event event = make_event("img-1", 1);
  event.embedding[0] = std::numeric_limits<float>::quiet_NaN();
  const auto made = transformed(event::encode(event));
  ASSERT_FALSE(made);
  EXPECT_THAT(made.status().message(), HasSubstr("finite"));
}

log::Record record_of(std::string value, log::Headers headers = {}) {
  return {{3, 42}, 1'600'000'000'000'000, "key", std::move(value), std::move(headers)};
}

store::Document document_of(const log::Record& record) {
  store::Document document;
  Failure failure;
  EXPECT_TRUE(to_document(record, "gpu-metadata", 5, document, failure)) << failure.reason;
  return document;
}

TEST(ToDocument, IsTheSameFromBothFormsOfAValue) {
  const event::Event event = make_event("img-1", 7, R"(,"more":[1.50])");
  const std::string json = event::to_wire_json(event::view_of(event));
  const store::Document from_record = document_of(record_of(event::encode(event)));
  const store::Document from_json = document_of(record_of(json, {{"ca4_version", "7"}}));
  EXPECT_EQ(store::to_json(from_json, true), store::to_json(from_record, true));
  EXPECT_EQ(from_json.version, 7U);
}

TEST(ToDocument, JsonOfAnotherWriterHasItsTimeForAVersion) {
  const store::Document made = document_of(record_of(
      R"({"metadata_id":"x","embedding":[1],"embedding_dim":1,"ingested_at":1700000000.5})"));
  EXPECT_EQ(made.version, 1'700'000'000'500'000U);
  EXPECT_EQ(made.ingested_at_us, 1'700'000'000'500'000);
  EXPECT_EQ(made.pipeline, "unknown");
  EXPECT_EQ(document_of(record_of(R"({"metadata_id":"x","embedding":[1]})")).version,
            1'600'000'000'000'000U);
}

TEST(ToDocument, TakesTheTraceFromTheHeaders) {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const std::string value = event::encode(make_event("img-1", 7));
  EXPECT_EQ(document_of(record_of(value, {{"traceparent", trace}})).traceparent, trace);
  EXPECT_FALSE(document_of(record_of(value, {{"traceparent", "none"}})).traceparent);
  EXPECT_FALSE(document_of(record_of(value)).traceparent);
}

TEST(ToDocument, SaysWhatIsWrongWithAValue) {
  const std::pair<const char*, const char*> cases[] = {
      {"no event", "event record"},
      {R"({"metadata_id":"x"})", "embedding: is required"},
  };
  for (const auto& [value, reason] : cases) {
    store::Document document;
    Failure failure;
    ASSERT_FALSE(to_document(record_of(value), "gpu-metadata", 5, document, failure));
    EXPECT_EQ(failure.stage, "decode");
    EXPECT_THAT(failure.reason, HasSubstr(reason));
  }
}

}  // namespace
}  // namespace ca4::worker
