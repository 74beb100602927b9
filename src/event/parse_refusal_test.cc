// Every way to be refused: which field, which reason, and whether it is bad syntax (400) or bad
// content (422).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "event/event.h"
#include "event/parse_support.h"

namespace ca4::event {
namespace {

struct Case {
  std::string json;
  bool malformed;
  std::string field;
  std::string reason;  // a part of it
};

std::string numbers(size_t count) {
  std::string text = "1";
  for (size_t i = 1; i < count; ++i) text += ",1";
  return text;
}

std::string nested(size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

// A member beside a good embedding.
std::string with(const std::string& member) {
  return "{\"embedding\":[1]," + member + "}";
}

void expect_refused(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const Outcome outcome = parse_text(c.json);
    const std::string shown = c.json.substr(0, 200);
    EXPECT_FALSE(outcome.accepted) << shown;
    EXPECT_EQ(outcome.why.malformed, c.malformed) << shown << "\n" << outcome.why.reason;
    EXPECT_EQ(outcome.why.field, c.field) << shown << "\n" << outcome.why.reason;
    EXPECT_THAT(outcome.why.reason, ::testing::HasSubstr(c.reason)) << shown;
  }
}

TEST(ParseRefusal, WhatIsNoJsonObject) {
  expect_refused({
      {"", true, "", "empty"},
      {"  \n", true, "", "empty"},
      {"[1]", true, "", "expected a JSON object"},
      {"\"text\"", true, "", "expected a JSON object"},
      {"null", true, "", "expected a JSON object"},
      {"12", true, "", "expected a JSON object"},
      {"garbage", true, "", ""},
      {"\xEF\xBB\xBF{\"embedding\":[1]}", true, "", "byte order mark"},
      {"{\"embedding\":[1]", true, "", "brackets"},
      {"{\"embedding\":[1]} x", true, "", ""},
      {"{\"embedding\":[1]}}", true, "", "brackets"},
      {"{\"embedding\":[1]}{\"embedding\":[1]}", true, "", "more text"},
      {"{\"embedding\":[1],}", true, "", "invalid JSON"},
      {"{\"embedding\":[1] \"a\":1}", true, "", "invalid JSON"},
      {"{embedding:[1]}", true, "", "invalid JSON"},
      {"{\"embedding\" [1]}", true, "", "invalid JSON"},
      {"{\"a\":\"unclosed}", true, "", "closing quote"},
      {"{\"a\":\"line\nbreak\",\"embedding\":[1]}", true, "", "control character"},
      {"{\"a\":\"\xC3\x28\",\"embedding\":[1]}", true, "", "UTF-8"},
      {"{\"a\":\"\xED\xA0\x80\",\"embedding\":[1]}", true, "", "UTF-8"},
  });
}

TEST(ParseRefusal, ElementsOfTheList) {
  expect_refused({
      {R"({"embedding":[1,"2"]})", false, "embedding[1]", "not a string"},
      {R"({"embedding":[true]})", false, "embedding[0]", "not a boolean"},
      {R"({"embedding":[1,null]})", false, "embedding[1]", "not null"},
      {R"({"embedding":[[1,2]]})", false, "embedding[0]", "not a list"},
      {R"({"embedding":[1,{}]})", false, "embedding[1]", "not an object"},
      {R"({"embedding":[0.1,NaN]})", false, "embedding[1]", "not NaN"},
      {R"({"embedding":[Infinity]})", false, "embedding[0]", "not Infinity"},
      {R"({"embedding":[1,2,-Infinity]})", false, "embedding[2]", "not -Infinity"},
      {R"({"embedding":[3.4028236e38]})", false, "embedding[0]", "too large for float32"},
      {R"({"embedding":[-1e39]})", false, "embedding[0]", "too large for float32"},
      {R"({"embedding":[1e400]})", false, "embedding[0]", "too large for float32"},
      {R"({"embedding":[1,,2]})", true, "embedding[1]", "invalid JSON"},
      {R"({"embedding":[1,]})", true, "embedding[1]", "invalid JSON"},
      {R"({"embedding":[01]})", true, "embedding[0]", "invalid JSON"},
      {R"({"embedding":[+1]})", true, "embedding[0]", "invalid JSON"},
      {R"({"embedding":[.5]})", true, "embedding[0]", "invalid JSON"},
      {R"({"embedding":[1.]})", true, "embedding[0]", "invalid JSON"},
      {R"({"embedding":[1 2]})", true, "embedding[1]", "invalid JSON"},
      {R"({"embedding":[1x]})", true, "embedding[0]", "invalid JSON"},
      {R"({"embedding":[1}})", true, "embedding[1]", "invalid JSON"},
      {"{\"embedding\":[" + numbers(17) + ",\"x\"]}", false, "embedding[17]", "not a string"},
  });
}

TEST(ParseRefusal, TheListItself) {
  expect_refused({
      {R"({})", false, "embedding", "required"},
      {R"({"metadata_id":"a"})", false, "embedding", "required"},
      {R"({"embedding":[]})", false, "embedding", "empty"},
      {R"({"embedding":null})", false, "embedding", "must be a list"},
      {R"({"embedding":"abc"})", false, "embedding", "must be a list"},
      {R"({"embedding":1})", false, "embedding", "must be a list"},
      {R"({"embedding":{"0":1}})", false, "embedding", "must be a list"},
      {"{\"embedding\":[" + numbers(kDimMax + 1) + "]}", false, "embedding", "more than 65536"},
      {R"({"embedding":[1],"embedding":[2]})", false, "embedding", "more than once"},
      {R"({"embedding":[1],"embedding_b64":"AACAPw=="})", false, "embedding_b64", "not both"},
      {R"({"embedding_b64":"AACAPw==","embedding":[1]})", false, "embedding", "not both"},
      {with(R"("embedding_dim":2)"), false, "embedding_dim", "is 2, but the embedding has 1"},
      {R"({"embedding_dim":-1,"embedding":[1]})", false, "embedding_dim", "is -1"},
      {with(R"("embedding_dim":1.0)"), false, "embedding_dim", "integer"},
      {with(R"("embedding_dim":"1")"), false, "embedding_dim", "integer"},
      {with(R"("embedding_dim":99999999999999999999)"), false, "embedding_dim", "integer"},
  });
}

TEST(ParseRefusal, Base64) {
  const std::string too_long((kDimMax + 3) * 4 / 3 * 4, 'A');
  expect_refused({
      {R"({"embedding_b64":""})", false, "embedding_b64", "empty"},
      {R"({"embedding_b64":5})", false, "embedding_b64", "must be a base64 string"},
      {R"({"embedding_b64":null})", false, "embedding_b64", "must be a base64 string"},
      {R"({"embedding_b64":"AACAPw"})", false, "embedding_b64", "length"},
      {R"({"embedding_b64":"AACAPw="})", false, "embedding_b64", "length"},
      {R"({"embedding_b64":"AACA-w=="})", false, "embedding_b64", "alphabet"},
      {R"({"embedding_b64":"AACA w=="})", false, "embedding_b64", "alphabet"},
      {R"({"embedding_b64":"AAC=Pw=="})", false, "embedding_b64", "alphabet"},
      {R"({"embedding_b64":"===="})", false, "embedding_b64", ""},
      {R"({"embedding_b64":"AACA\nPw="})", false, "embedding_b64", "alphabet"},
      {R"({"embedding_b64":"AACA"})", false, "embedding_b64", "3 bytes, not a multiple of 4"},
      {R"({"embedding_b64":"AADAfw=="})", false, "embedding_b64[0]", "finite"},      // NaN
      {R"({"embedding_b64":"AACAPwAAgP8="})", false, "embedding_b64[1]", "finite"},  // -Infinity
      {"{\"embedding_b64\":\"" + too_long + "\"}", false, "embedding_b64", "more than 65536"},
  });
}

TEST(ParseRefusal, MetadataId) {
  const std::string too_long(kIdBytesMax + 1, 'x');
  expect_refused({
      {with(R"("metadata_id":5)"), false, "metadata_id", "must be a string"},
      {with(R"("metadata_id":["a"])"), false, "metadata_id", "must be a string"},
      {with(R"("metadata_id":"")"), false, "metadata_id", "empty"},
      {with("\"metadata_id\":\"" + too_long + "\""), false, "metadata_id", "513 bytes"},
      {with(R"("metadata_id":"a\u0000b")"), false, "metadata_id", "control character"},
      {with(R"("metadata_id":"a\nb")"), false, "metadata_id", "control character"},
      {with(R"("metadata_id":"a\u007f")"), false, "metadata_id", "control character"},
      {with(R"("metadata_id":"a\u0085")"), false, "metadata_id", "control character"},
      {with(R"("metadata_id":"a","metadata_id":"a")"), false, "metadata_id", "more than once"},
      {with(R"("metadata_id":"\x")"), true, "metadata_id", "escape"},
  });
}

TEST(ParseRefusal, OtherKnownFields) {
  expect_refused({
      {with(R"("source_uri":5)"), false, "source_uri", "string or null"},
      {with(R"("source_uri":"\ud800")"), true, "source_uri", "surrogate"},
      {with(R"("extra":[])"), false, "extra", "object or null"},
      {with(R"("extra":"x")"), false, "extra", "object or null"},
      {with(R"("source_type":1)"), false, "source_type", "must be a string"},
      {with(R"("model_name":{})"), false, "model_name", "must be a string"},
      {with(R"("model_version":1.0)"), false, "model_version", "must be a string"},
      {with(R"("timestamp":"now")"), false, "timestamp", "finite number"},
      {with(R"("timestamp":NaN)"), false, "timestamp", "finite number"},
      {with(R"("timestamp":1e999)"), false, "timestamp", "finite number"},
      {with(R"("extra":{},"extra":{})"), false, "extra", "more than once"},
      {with(R"("model_name":null,"model_name":"a")"), false, "model_name", "more than once"},
      {with(R"("timestamp":1,"timest\u0061mp":1)"), false, "timestamp", "more than once"},
  });
}

// On-demand parsing checks only what is asked for: these stand where nothing of ours looks.
TEST(ParseRefusal, InsideValuesThatAreKeptAsTheyCame) {
  expect_refused({
      {with(R"("gpu_hardware":tru)"), true, "gpu_hardware", "invalid JSON"},
      {with(R"("gpu_hardware":{"a":nul})"), true, "gpu_hardware.a", "invalid JSON"},
      {with(R"("gpu_hardware":{"m":[1,NaN]})"), false, "gpu_hardware.m[1]", "NaN"},
      {with(R"("gpu_hardware":{"a" 1})"), true, "gpu_hardware", "invalid JSON"},
      {with(R"("gpu_hardware":{"a":1]})"), true, "", "brackets"},
      {with(R"("extra":{"a":[1,2})"), true, "", "brackets"},
      {with(R"("extra":{"a":[{"b":"\q"}]})"), true, "extra.a[0].b", "escape"},
      {with(R"("extra":{"a":1,"a":2})"), false, "extra.a", "more than once"},
      {with(R"("extra":{"x":{"a":1,"a":2}})"), false, "extra.x.a", "more than once"},
      {with(R"("extra":{"a":[01]})"), true, "extra.a[0]", "invalid JSON"},
      {with(R"("other":1e999)"), false, "other", "too large"},
      {with(R"("other":-)"), true, "other", "invalid JSON"},
      {with(R"("other":"a"b)"), true, "", "invalid JSON"},
      {with(R"("other":,"b":1)"), true, "other", "invalid JSON"},
      {with(R"("other":1,"other":2)"), false, "other", "more than once"},
      {with(R"("ingested_at":tru)"), true, "ingested_at", "invalid JSON"},
      {with("\"other\":" + nested(kDepthMax + 1)), false,
       "other" +
           [] {
             std::string path;
             for (size_t i = 0; i < kDepthMax; ++i) path += "[0]";
             return path;
           }(),
       "deeper than 32"},
      {with("\"other\":" + nested(5000)), false,
       "other" +
           [] {
             std::string path;
             for (size_t i = 0; i < kDepthMax; ++i) path += "[0]";
             return path;
           }(),
       "deeper than 32"},
  });
}

TEST(ParseRefusal, LongNamesAreCutInTheFieldAtACharacter) {
  std::string name;
  for (int i = 0; i < 100; ++i) name += "é";
  const Outcome outcome = parse_text(with("\"" + name + "\":NaN"));
  EXPECT_EQ(outcome.why.field, name.substr(0, 64));
}

}  // namespace
}  // namespace ca4::event
