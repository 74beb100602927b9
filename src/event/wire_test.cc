#include <gtest/gtest.h>

#include <string>

#include "event/event.h"

namespace ca4::event {
namespace {

Event sample() {
  Event event;
  event.metadata_id = "img-1";
  event.meta_json = R"({"metadata_id":"img-1"})";
  event.embedding = {1.0F, -0.0F, 0.1F, 1e10F, 16777216.0F, 1e-7F};
  event.ingested_at_us = 1'700'000'000'000'042;
  event.version = 7;
  return event;
}

std::string wire_of(const Event& event) {
  const std::string record = encode(event);
  return to_wire_json(decode(record).value());
}

std::string hash_of(const Event& event) {
  const std::string record = encode(event);
  return payload_hash(decode(record).value());
}

TEST(WireJson, FloatsAreShortestAndNeverLookLikeIntegers) {
  EXPECT_EQ(
      wire_of(sample()),
      R"({"metadata_id":"img-1","embedding":[1.0,-0.0,0.1,1e+10,16777216.0,1e-07],"ingested_at":1700000000.000042})");
}

TEST(WireJson, TimesBeforeTheEpochAreWrittenToo) {
  Event event = sample();
  event.embedding = {1.0F};
  event.ingested_at_us = -1'500'000;
  EXPECT_EQ(wire_of(event), R"({"metadata_id":"img-1","embedding":[1.0],"ingested_at":-1.500000})");
}

TEST(PayloadHash, DoesNotDependOnWhenAndHowOftenItWasSent) {
  Event later = sample();
  later.ingested_at_us += 5;
  later.version += 5;
  EXPECT_EQ(hash_of(sample()), hash_of(later));
}

TEST(PayloadHash, DependsOnEveryPartOfThePayload) {
  Event other_float = sample();
  other_float.embedding[5] = 2e-7F;
  Event other_meta = sample();
  other_meta.meta_json = R"({"metadata_id":"img-2"})";
  EXPECT_NE(hash_of(sample()), hash_of(other_float));
  EXPECT_NE(hash_of(sample()), hash_of(other_meta));
}

// printf '{}\x00\x00\x80\x3f' | sha256sum
TEST(PayloadHash, IsSha256OfMetaThenFloats) {
  Event event;
  event.metadata_id = "a";
  event.meta_json = "{}";
  event.embedding = {1.0F};
  EXPECT_EQ(hash_of(event), "da9e344cec8fc178b703c2f46237aa6b2babdc568453d836ce6e24d329c04bb8");
}

}  // namespace
}  // namespace ca4::event
