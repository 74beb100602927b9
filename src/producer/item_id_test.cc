#include "producer/item_id.h"

#include <gmock/gmock.h>

#include "base/digest.h"
#include "producer/hash.h"
#include "producer/test_support.h"

namespace ca4::producer {
namespace {

const ItemFacts kCat{"/photos/my cat.v2.jpg", "", "aa11", "bb22", "lite0", "embedding"};

TEST(ContentId, DependsOnContentModelAndOutputAndNothingElse) {
  const std::string id = content_id(kCat);
  EXPECT_EQ(id.size(), 32U);
  ItemFacts other = kCat;
  other.path = "/elsewhere/renamed.png";
  other.model_name = "renamed";
  EXPECT_EQ(content_id(other), id);
  for (auto member : {&ItemFacts::content_sha256, &ItemFacts::model_sha256, &ItemFacts::output}) {
    other = kCat;
    other.*member += "0";
    EXPECT_NE(content_id(other), id);
  }
}

TEST(IdTemplate, FillsEveryPlace) {
  const auto parsed = IdTemplate::parse("a-{stem}/{name}/{model}/{unix}-z");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->expand(kCat, 1795460000), "a-my cat.v2/my cat.v2.jpg/lite0/1795460000-z");
  EXPECT_EQ(parsed->stable_part(kCat), "a-my cat.v2/my cat.v2.jpg/lite0/{unix}-z");
  EXPECT_EQ(IdTemplate::parse(kDefaultIdTemplate)->expand(kCat, 0), "img-" + content_id(kCat));
}

TEST(IdTemplate, MistakesAreUsageErrorsThatNameThePlaces) {
  for (const char* text : {"{stern}", "img-{sha", "img", "", "{unix}", "{model}-{unix}"}) {
    const Status status = IdTemplate::parse(text).status();
    EXPECT_EQ(status.code(), Code::kUsage) << text;
    EXPECT_THAT(status.message(), testing::HasSubstr("{stem}")) << text;
  }
}

TEST(Hash, IsSha256) {
  // FIPS 180-2, appendix B.1.
  const char* abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(sha256_hex("abc"), abc);
  const TempDir folder;
  spill(folder / "abc", "abc");
  EXPECT_EQ(*sha256_file_hex(folder / "abc"), abc);
  EXPECT_EQ(sha256_file_hex(folder / "missing").status().code(), Code::kNotFound);
}

TEST(ReadFile, OverTheLimitIsTooLarge) {
  const TempDir folder;
  spill(folder / "ten", "0123456789");
  EXPECT_EQ(*read_file(folder / "ten", 10), "0123456789");
  EXPECT_EQ(read_file(folder / "ten", 9).status().code(), Code::kTooLarge);
}

}  // namespace
}  // namespace ca4::producer
