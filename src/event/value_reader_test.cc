#include "event/value_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace ca4::event {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Event sample() {
  Event event;
  event.metadata_id = "img-1";
  event.meta_json =
      R"({"metadata_id":"img-1","source_uri":null,"embedding_dim":3,"gpu_hardware":null,)"
      R"("extra":{"pipeline":"unknown"},"timestamp":17.50,"more":[1,{"a":"é\n"}]})";
  event.embedding = {0.1F, -0.0F, 3e10F};
  event.ingested_at_us = 1'785'000'000'123'457;
  event.version = 1'785'000'000'123'999;
  return event;
}

// What a consumer of the topic's JSON, written by hand, may be sent.
const std::string kForeign =
    R"({"metadata_id": "x-1", "source_uri": null, "embedding": [1, 2.5], "embedding_dim": 2,)"
    R"( "gpu_hardware": null, "extra": {}, "ingested_at": 1700000000.25})";

TEST(ValueReader, BothFormsOfAnEventAreTheSameEvent) {
  const std::string record = encode(sample());
  const std::string json = to_wire_json(decode(record).value());
  ValueReader reader;
  const EventView from_json = reader.read(json, {.version = sample().version}).value();
  EXPECT_EQ(from_json.metadata_id, "img-1");
  EXPECT_EQ(from_json.meta_json, sample().meta_json);
  EXPECT_EQ(from_json.embedding(), sample().embedding);
  EXPECT_EQ(from_json.ingested_at_us, sample().ingested_at_us);
  EXPECT_EQ(from_json.version, sample().version);
  EXPECT_EQ(payload_hash(from_json), payload_hash(decode(record).value()));

  const EventView from_record = reader.read(record, {.version = 1, .appended_at_us = 2}).value();
  EXPECT_EQ(from_record.version, sample().version);
  EXPECT_EQ(from_record.ingested_at_us, sample().ingested_at_us);
}

TEST(ValueReader, JsonWithoutAVersionHasItsTimeOfAcceptance) {
  ValueReader reader;
  const EventView event = reader.read(kForeign, {.appended_at_us = 7}).value();
  EXPECT_EQ(event.metadata_id, "x-1");
  EXPECT_THAT(event.embedding(), ElementsAre(1.0F, 2.5F));
  EXPECT_EQ(event.ingested_at_us, 1'700'000'000'250'000);
  EXPECT_EQ(event.version, 1'700'000'000'250'000U);
}

TEST(ValueReader, JsonWithoutATimeWasAcceptedWhenItWasAppended) {
  ValueReader reader;
  const std::string timeless = R"({"metadata_id":"a","embedding":[1]})";
  const EventView event = reader.read(timeless, {.appended_at_us = 1'600'000'000'000'000}).value();
  EXPECT_EQ(event.ingested_at_us, 1'600'000'000'000'000);
  EXPECT_EQ(event.version, 1'600'000'000'000'000U);
  EXPECT_EQ(reader.read(timeless, {.version = 5, .appended_at_us = 6}).value().version, 5U);
  EXPECT_EQ(reader.read(timeless, {.appended_at_us = -1}).value().version, 0U);
}

TEST(ValueReader, TimesKeepTheirMicroseconds) {
  ValueReader reader;
  const auto accepted = [&](const std::string& seconds) {
    return reader.read(R"({"metadata_id":"a","embedding":[1],"ingested_at":)" + seconds + "}", {})
        .value()
        .ingested_at_us;
  };
  EXPECT_EQ(accepted("1785000000.123457"), 1'785'000'000'123'457);
  EXPECT_EQ(accepted("1785000000"), 1'785'000'000'000'000);
  EXPECT_EQ(accepted("1.785000000123457e9"), 1'785'000'000'123'457);
  EXPECT_EQ(accepted("-1.5"), -1'500'000);
}

TEST(ValueReader, SaysWhyAValueIsNoEvent) {
  ValueReader reader;
  const std::pair<std::string, std::string> cases[] = {
      {R"({"embedding":[1]})", "metadata_id: is required"},
      {R"({"metadata_id":null,"embedding":[1]})", "metadata_id: is required"},
      {R"({"metadata_id":"a"})", "embedding: is required"},
      {R"({"metadata_id":"a","embedding":[1],"ingested_at":"now"})", "ingested_at: must be"},
      {R"({"metadata_id":"a","embedding":[1],"ingested_at":null})", "ingested_at: must be"},
      {R"({"metadata_id":"a","embedding":[1],"ingested_at":1e300})", "ingested_at: must be"},
      {R"({"metadata_id":"a","embedding":[1],"ingested_at":1785000000123})",
       "ingested_at: must be"},
      {R"({"metadata_id":"a","embedding":[1e999]})", "embedding[0]"},
      {R"({"metadata_id":"a","embedding":[1]}})", "invalid JSON"},
      {"  {", "invalid JSON"},
      {"", "0 bytes"},
      {"[1]", "3 bytes"},
      {std::string(100, 'x'), "0xCA"},
  };
  for (const auto& [value, reason] : cases) {
    const Result<EventView> event = reader.read(value, {});
    ASSERT_FALSE(event) << value;
    EXPECT_EQ(event.status().code(), Code::kCorruption) << value;
    EXPECT_THAT(event.status().message(), HasSubstr(reason)) << value;
  }
  // And reads on after that.
  EXPECT_TRUE(reader.read(kForeign, {}).is_ok());
}

TEST(ParseVersion, TakesDecimalNumbersOnly) {
  EXPECT_EQ(parse_version("1785000000123457"), 1'785'000'000'123'457U);
  EXPECT_EQ(parse_version("18446744073709551615"), 18'446'744'073'709'551'615U);
  for (const char* text : {"", "-1", "+1", "1.0", "1 ", "18446744073709551616"}) {
    EXPECT_FALSE(parse_version(text)) << text;
  }
}

}  // namespace
}  // namespace ca4::event
