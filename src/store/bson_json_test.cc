#include "store/bson_json.h"

#include <gmock/gmock.h>

#include "store/bson_ptr.h"

namespace ca4::store {
namespace {

using testing::HasSubstr;

// The value as BSON and back.
std::string there_and_back(const std::string& json) {
  JsonToBson to_bson;
  const BsonPtr bson;
  const Status status = to_bson.append(*bson, "v", json);
  if (!status.is_ok()) return status.message();
  bson_iter_t at;
  if (!bson_iter_init_find(&at, bson.get(), "v")) return "nothing";
  std::string out;
  append_json(out, at);
  return out;
}

bson_type_t type_of(const std::string& json) {
  JsonToBson to_bson;
  const BsonPtr bson;
  bson_iter_t at;
  EXPECT_TRUE(to_bson.append(*bson, "v", json).is_ok());
  return bson_iter_init_find(&at, bson.get(), "v") ? bson_iter_type(&at) : BSON_TYPE_EOD;
}

TEST(BsonJson, EveryKindOfValueComesBackAsItWas) {
  for (const char* const json :
       {"null", "true", "false", "0", "-1", "9223372036854775807", "-9223372036854775808", "1.5",
        "1e+300", "5e-324", "-0.0", R"("")", R"("é\n\"\\")", R"("a\u0000b")", "[]", "{}", "[[],{}]",
        R"({"":1})", R"({"a":{"b":[1,2.5,"x",null,true]}})"}) {
    EXPECT_EQ(there_and_back(json), json);
  }
}

TEST(BsonJson, IntegersAreInt64AndAllElseIsDouble) {
  EXPECT_EQ(type_of("7"), BSON_TYPE_INT64);
  EXPECT_EQ(type_of("7.0"), BSON_TYPE_DOUBLE);
  EXPECT_EQ(type_of("7e0"), BSON_TYPE_DOUBLE);
  EXPECT_EQ(type_of("9223372036854775808"), BSON_TYPE_DOUBLE);
  EXPECT_EQ(there_and_back("7.0"), "7.0");
  EXPECT_EQ(there_and_back("1E2"), "100.0");
  EXPECT_EQ(there_and_back("18446744073709551616"), "18446744073709551616.0");
  EXPECT_EQ(there_and_back("1e-400"), "0.0");
}

TEST(BsonJson, WhatIsNotOneJsonValueIsRefused) {
  for (const char* const wrong : {"", "1,2", "[1", "{", "nul", "tru", "01", "+1", "1.", "NaN",
                                  "'a'", R"({"a" 1})", R"("\x")", R"("a)", "[1]]"}) {
    JsonToBson to_bson;
    const BsonPtr bson;
    const Status status = to_bson.append(*bson, "extra", wrong);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << wrong;
  }
  EXPECT_THAT(there_and_back("{"), HasSubstr("v: not JSON: "));
  EXPECT_EQ(there_and_back("\"\xff\""), "text that is not UTF-8");
}

TEST(BsonJson, NestingHasALimit) {
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_EQ(there_and_back(nested(kBsonDepthMax)), nested(kBsonDepthMax));
  EXPECT_EQ(there_and_back(nested(kBsonDepthMax + 1)), "v: nested deeper than 90 levels");
}

TEST(BsonJson, FieldNamesThatServersRefuseAreEncoded) {
  using namespace std::string_literals;
  const std::pair<std::string, std::string> names[] = {
      {"plain", "plain"}, {"", ""},         {"a.b", "a%2Eb"},     {"$set", "%24set"},
      {"a$b", "a$b"},     {"..", "%2E%2E"}, {"nul\0"s, "nul%00"}, {"100%", "100%"},
      {"%2E", "%252E"},   {"%25", "%2525"}, {"%%2E", "%%252E"},   {"%.", "%%2E"},
      {"%2.", "%2%2E"},   {"%24", "%2524"}, {"$$", "%24$"}};
  for (const auto& [name, encoded] : names) {
    std::string scratch;
    EXPECT_EQ(encode_field_name(name, scratch), encoded);
    EXPECT_EQ(decode_field_name(encoded), name);
  }
}

// Every text over the letters that matter: each is read back, and no two look the same.
TEST(BsonJson, EncodedFieldNamesAreReversible) {
  constexpr std::string_view kLetters("%2E450$.\0", 9);
  std::vector<std::string> names = {""};
  for (size_t done = 0; names.size() < 7000; ++done) {
    for (const char c : kLetters) names.push_back(names[done] + c);
  }
  std::string scratch;
  for (const std::string& name : names) {
    const std::string encoded(encode_field_name(name, scratch));
    EXPECT_EQ(decode_field_name(encoded), name) << encoded;
    EXPECT_EQ(encoded.find('.'), encoded.npos);
    EXPECT_FALSE(encoded.starts_with('$'));
  }
}

TEST(BsonJson, MembersAreChosenByTheirDecodedNames) {
  JsonToBson to_bson;
  const BsonPtr bson;
  const Status status = to_bson.append_members(*bson, R"({"a":1,"\u0062":2,"c.d":3})",
                                               [](std::string_view name) { return name != "b"; });
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  EXPECT_TRUE(bson_has_field(bson.get(), "a"));
  EXPECT_FALSE(bson_has_field(bson.get(), "b"));
  EXPECT_TRUE(bson_has_field(bson.get(), "c%2Ed"));
  EXPECT_EQ(to_bson.append_members(*bson, "[1]", [](std::string_view) { return true; }).code(),
            Code::kInvalidArgument);
}

TEST(BsonJson, TypesThatJsonLacksBecomeExtendedJson) {
  const BsonPtr bson;
  BSON_APPEND_DATE_TIME(bson.get(), "date", 1000);
  BSON_APPEND_DOUBLE(bson.get(), "nan", std::numeric_limits<double>::quiet_NaN());
  BSON_APPEND_INT32(bson.get(), "int32", -5);
  std::vector<std::string> texts;
  bson_iter_t at;
  ASSERT_TRUE(bson_iter_init(&at, bson.get()));
  while (bson_iter_next(&at)) append_json(texts.emplace_back(), at);
  EXPECT_THAT(texts, testing::ElementsAre(R"({ "$date" : "1970-01-01T00:00:01Z" })", "null", "-5"));
}

}  // namespace
}  // namespace ca4::store
