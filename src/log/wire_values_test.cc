#include "log/wire_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "log/event_log_conformance.h"
#include "log/memory_log.h"

namespace ca4::log {
namespace {

using testing::ElementsAre;
using testing::Pair;

event::Event sample() {
  event::Event event;
  event.metadata_id = "a";
  event.meta_json = R"({"metadata_id":"a","source_uri":null,"embedding_dim":1,"gpu_hardware":null,)"
                    R"("extra":{"pipeline":"unknown"}})";
  event.embedding = {0.5F};
  event.ingested_at_us = 1'700'000'000'000'001;
  event.version = 1'700'000'000'000'009;
  return event;
}

class WireValues : public testing::Test {
 protected:
  std::unique_ptr<EventLog> log(ValueFormat format) {
    return with_wire_values(
        std::make_unique<MemoryLog>(MemoryLogOptions{.bytes_max = kBytesMax}, clock_), format,
        kBytesMax);
  }
  static Record kept(EventLog& log, NewRecord record) {
    EXPECT_TRUE(append_and_wait(log, {std::move(record)}).is_ok());
    return log.newest().value().at(0);
  }

  static constexpr size_t kBytesMax = 20'000;
  SystemClock clock_;
};

TEST_F(WireValues, JsonIsWhatTheContractSaysAndTheVersionIsBesideIt) {
  const auto json_log = log(ValueFormat::kJson);
  const Record record = kept(*json_log, {"a", event::encode(sample()), {{"traceparent", "t"}}});
  EXPECT_EQ(record.key, "a");
  EXPECT_EQ(record.value,
            R"({"metadata_id":"a","source_uri":null,"embedding_dim":1,"gpu_hardware":null,)"
            R"("extra":{"pipeline":"unknown"},"embedding":[0.5],"ingested_at":1700000000.000001})");
  EXPECT_THAT(record.headers,
              ElementsAre(Pair("traceparent", "t"), Pair("ca4_version", "1700000000000009")));
  event::ValueReader reader;
  const auto event = reader.read(record.value, origin_of(record.headers, 0)).value();
  EXPECT_EQ(event.version, sample().version);
  EXPECT_EQ(event.meta_json, sample().meta_json);
}

TEST_F(WireValues, ARecordStaysAsItIs) {
  const auto record_log = log(ValueFormat::kRecord);
  const Record record = kept(*record_log, {"a", event::encode(sample()), {}});
  EXPECT_EQ(record.value, event::encode(sample()));
  EXPECT_THAT(record.headers, ElementsAre(Pair("ca4_version", "1700000000000009")));
}

TEST_F(WireValues, WhatCameFromTheTopicGoesBackAsItCame) {
  const auto json_log = log(ValueFormat::kJson);
  const Record record =
      kept(*json_log, {"a", R"({"metadata_id":"a"})", {{"ca4_version", "5"}, {"x", ""}}});
  EXPECT_EQ(record.value, R"({"metadata_id":"a"})");
  EXPECT_THAT(record.headers, ElementsAre(Pair("ca4_version", "5"), Pair("x", "")));
}

// A float32 is 4 bytes in a record, and up to 15 and a comma in JSON.
TEST_F(WireValues, WhatTheTargetNeverTakesIsKnownByTheSizeThatItWillHave) {
  event::Event event = sample();
  event.embedding.assign(2'000, -1.17549435e-38F);
  const NewRecord record{"a", event::encode(event), {}};
  ASSERT_LT(record.value.size(), kBytesMax / 2);
  const auto json_log = log(ValueFormat::kJson);
  EXPECT_EQ(json_log->admits(record).code(), Code::kTooLarge);
  EXPECT_EQ(append_and_wait(*json_log, {record}).status().code(), Code::kTooLarge);
  EXPECT_TRUE(log(ValueFormat::kRecord)->admits(record).is_ok());
  // As many bytes, and few in JSON.
  event.embedding.assign(2'000, 0.5F);
  const NewRecord small{"a", event::encode(event), {}};
  EXPECT_TRUE(json_log->admits(small).is_ok());
  EXPECT_TRUE(append_and_wait(*json_log, {small}).is_ok());
}

TEST(OriginOf, AVersionThatIsNoNumberCountsAsNone) {
  EXPECT_EQ(origin_of({{"x", "1"}, {"ca4_version", "7"}}, 3).version, 7U);
  EXPECT_FALSE(origin_of({{"ca4_version", "seven"}}, 3).version);
  EXPECT_FALSE(origin_of({}, 3).version);
  EXPECT_EQ(origin_of({}, 3).appended_at_us, 3);
}

class WireValuesUnderTest final : public LogUnderTest {
 public:
  std::unique_ptr<EventLog> open() override { return open_bounded(64 << 20); }
  std::unique_ptr<EventLog> open_bounded(size_t bytes) override {
    return with_wire_values(
        std::make_unique<MemoryLog>(MemoryLogOptions{.bytes_max = bytes}, clock_),
        ValueFormat::kJson, bytes);
  }
  bool durable() const override { return false; }

 private:
  SystemClock clock_;
};

INSTANTIATE_TEST_SUITE_P(WireValues, EventLogConformance,
                         testing::Values(+[]() -> std::unique_ptr<LogUnderTest> {
                           return std::make_unique<WireValuesUnderTest>();
                         }),
                         [](const auto&) { return "log"; });

}  // namespace
}  // namespace ca4::log
