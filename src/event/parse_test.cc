// What the parser makes of payloads that it accepts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "event/event.h"
#include "event/parse_support.h"

namespace ca4::event {
namespace {

using ::testing::ElementsAre;

TEST(Parse, FillsIdEmbeddingAndMetaInTheFixedOrder) {
  const Event event = accepted_event(
      R"({ "extra": {"notes": "n", "pipeline": "p"}, "timestamp": 1700000000.5, "zoom": [1, {"a": null}],
           "model_version": "2", "embedding": [1, -2.5, 3e0], "metadata_id": "img-1",
           "model_name": "m", "source_type": "image", "embedding_dim": 3,
           "gpu_hardware": {"available": false}, "source_uri": "s3://b/k"})");
  EXPECT_EQ(event.metadata_id, "img-1");
  EXPECT_THAT(event.embedding, ElementsAre(1.0F, -2.5F, 3.0F));
  EXPECT_EQ(
      event.meta_json,
      R"({"metadata_id":"img-1","source_uri":"s3://b/k","embedding_dim":3,"gpu_hardware":{"available":false},)"
      R"("extra":{"notes":"n","pipeline":"p"},"source_type":"image","model_name":"m","model_version":"2",)"
      R"("timestamp":1700000000.5,"zoom":[1,{"a":null}]})");
}

TEST(Parse, SmallestPayloadGetsTheDefaults) {
  const Event event = accepted_event(R"({"embedding":[0.5]})");
  EXPECT_EQ(event.metadata_id, "");
  EXPECT_EQ(
      event.meta_json,
      R"({"source_uri":null,"embedding_dim":1,"gpu_hardware":null,"extra":{"pipeline":"unknown"}})");
}

TEST(Parse, NullsAreAsIfAbsentWhereTheFieldMayBe) {
  EXPECT_EQ(accepted_event(R"({"metadata_id":null,"source_uri":null,"extra":null,)"
                           R"("gpu_hardware":null,"source_type":null,"model_name":null,)"
                           R"("model_version":null,"timestamp":null,"embedding_dim":null,)"
                           R"("embedding":[0.5]})")
                .meta_json,
            accepted_event(R"({"embedding":[0.5]})").meta_json);
  EXPECT_EQ(accepted_event(R"({"extra":{"pipeline":null,"a":1},"embedding":[1]})").meta_json,
            accepted_event(R"({"extra":{"a":1},"embedding":[1]})").meta_json);
}

// Blanks keep the list from being read by number_list.h, which is not asked about these numbers
// then.
TEST(Parse, NumbersOfMoreDigitsThan64BitsAreReadAsWritten) {
  const std::string blanks(5000, ' ');
  for (const std::string& before : {std::string(), blanks}) {
    EXPECT_THAT(accepted_event(before +
                               R"({"embedding":[0.145500160753726931472,)"
                               R"(-0.50663480162620533361363503748434, 1e-400,)"
                               R"(12345678901234567890123, 0.)" +
                               std::string(400, '0') + "1]}")
                    .embedding,
                ElementsAre(0.145500160753726931472F, -0.50663480162620533361363503748434F, 0.0F,
                            12345678901234567890123.0F, 0.0F));
  }
}

TEST(Parse, PipelineIsAddedAfterOtherMembersOfExtra) {
  const Event event = accepted_event(R"({"extra":{"a":1},"embedding":[1]})");
  EXPECT_THAT(event.meta_json, ::testing::HasSubstr(R"("extra":{"a":1,"pipeline":"unknown"})"));
}

TEST(Parse, GpuHardwareOfExtraIsTakenAndKeptThere) {
  const Event event =
      accepted_event(R"({"embedding":[1],"extra":{"gpu_hardware":{"name": "L4"}}})");
  EXPECT_EQ(event.meta_json, R"({"source_uri":null,"embedding_dim":1,"gpu_hardware":{"name":"L4"},)"
                             R"("extra":{"gpu_hardware":{"name":"L4"},"pipeline":"unknown"}})");
}

TEST(Parse, GpuHardwareAtTheTopWinsOverThatOfExtra) {
  const Event event = accepted_event(
      R"({"embedding":[1],"extra":{"gpu_hardware":"inner"},"gpu_hardware":"outer"})");
  EXPECT_THAT(event.meta_json, ::testing::HasSubstr(R"("gpu_hardware":"outer","extra":)"));
}

TEST(Parse, WhitespaceAndEscapesDoNotChangeTheBytes) {
  const Event plain = accepted_event(
      R"({"embedding":[1,2],"metadata_id":"é/x","extra":{"note":"a\nb","l":[1,2]},"k":{}})");
  const Event spaced = accepted_event(
      "\n{ \"embedding\" : [ 1 ,\t2 ] , \"metadata\\u005fid\" : \"\\u00e9\\/x\" ,\r\n"
      "\"extra\" : { \"note\" : \"a\\u000ab\" , \"l\" : [ 1 , 2 ] } , \"k\" : { } } \n");
  EXPECT_EQ(plain.meta_json, spaced.meta_json);
  EXPECT_EQ(plain.metadata_id, spaced.metadata_id);
}

TEST(Parse, ClientsIngestedAtIsLeftOut) {
  EXPECT_EQ(accepted_event(R"({"ingested_at":1.5,"embedding":[1]})").meta_json,
            accepted_event(R"({"embedding":[1]})").meta_json);
}

TEST(Parse, NumbersOfRawValuesStayAsWritten) {
  const Event event = accepted_event(
      R"({"embedding":[1],"n":[1.50,-0,1E5,123456789012345678901234567890,1e-400]})");
  EXPECT_THAT(event.meta_json,
              ::testing::HasSubstr(R"("n":[1.50,-0,1E5,123456789012345678901234567890,1e-400])"));
}

TEST(Parse, LargestFloat32IsKeptAndRoundingIsToNearest) {
  const Event event = accepted_event(
      R"({"embedding":[3.4028234663852886e38,3.4028235e38,0.1,1e-60,-0.0,0.30000001192092896]})");
  EXPECT_THAT(event.embedding,
              ElementsAre(3.40282347e38F, 3.40282347e38F, 0.1F, 0.0F, -0.0F, 0.3F));
}

TEST(Parse, Base64IsLittleEndianFloat32) {
  // 1.0, -2.0 as bytes 00 00 80 3f 00 00 00 c0
  const Event event = accepted_event(R"({"embedding_b64":"AACAPwAAAMA=","embedding_dim":2})");
  EXPECT_THAT(event.embedding, ElementsAre(1.0F, -2.0F));
}

TEST(Parse, Base64WithEscapedSlashesIsRead) {
  // bytes ff ff 7f 3f, as PHP's encoder writes it
  const Event event = accepted_event(R"({"embedding_b64":"\/\/9\/Pw=="})");
  EXPECT_THAT(event.embedding, ElementsAre(0.99999994F));
}

TEST(Parse, BothFormsOfOneEmbeddingGiveTheSameMeta) {
  EXPECT_EQ(accepted_event(R"({"embedding_b64":"AACAPwAAAMA="})").meta_json,
            accepted_event(R"({"embedding":[1,-2]})").meta_json);
}

TEST(Parse, LimitsThemselvesAreAccepted) {
  std::string floats = "1";
  for (size_t i = 1; i < kDimMax; ++i) floats += ",1";
  EXPECT_EQ(accepted_event("{\"embedding\":[" + floats + "]}").embedding.size(), kDimMax);
  const std::string id(kIdBytesMax, 'x');
  EXPECT_EQ(accepted_event("{\"embedding\":[1],\"metadata_id\":\"" + id + "\"}").metadata_id, id);
  const std::string deep = std::string(kDepthMax - 1, '[') + "1" + std::string(kDepthMax - 1, ']');
  EXPECT_THAT(accepted_event("{\"embedding\":[1],\"d\":" + deep + "}").meta_json,
              ::testing::HasSubstr(deep));
}

TEST(Parse, ParserCarriesNothingFromOnePayloadToTheNext) {
  Parser parser;
  Event event;
  Refusal why;
  std::string first =
      R"({"metadata_id":"a","embedding":[1,2,3],"source_uri":"u","gpu_hardware":1,"extra":{"x":1},)"
      R"("model_name":"m","timestamp":1,"unknown":2,"embedding_dim":3})";
  std::string broken = R"({"metadata_id":"b","source_uri":"v","other":1,"embedding":[1,"x"]})";
  std::string last = R"({"embedding":[7]})";
  for (std::string* text : {&first, &broken, &last}) {
    text->reserve(text->size() + Parser::kPaddingBytes);
    parser.parse(*text, event, why);
  }
  EXPECT_EQ(event.metadata_id, "");
  EXPECT_THAT(event.embedding, ElementsAre(7.0F));
  EXPECT_EQ(event.meta_json, accepted_event(last).meta_json);
}

TEST(Parse, PaddingMayHoldAnything) {
  for (const char padding : {'\0', '}', ']', ',', '"', '1', '\n', '{'}) {
    EXPECT_TRUE(parse_text(R"({"embedding":[1],"a":{"b":[1]}})", padding).accepted) << padding;
    for (const char* cut : {R"({"embedding":[1])", R"({"embedding":[1],"a":{"b":1})",
                            R"({"embedding":[1],"a":[1)", R"({"embedding":[1],"a":")"}) {
      const Outcome outcome = parse_text(cut, padding);
      EXPECT_FALSE(outcome.accepted) << cut << " before " << padding;
      EXPECT_TRUE(outcome.why.malformed) << cut << " before " << padding;
    }
  }
}

}  // namespace
}  // namespace ca4::event
