#include "archive/archive_conformance.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

namespace ca4::archive {

using testing::ElementsAre;
using testing::IsEmpty;

void ArchiveConformance::SetUp() {
  archive_ = GetParam()(dir_.path());
  ASSERT_NE(archive_, nullptr);
}

std::vector<std::string> ArchiveConformance::keys(std::string_view prefix) {
  std::vector<std::string> found;
  const Result<std::vector<ObjectInfo>> listed = archive_->list(prefix);
  EXPECT_TRUE(listed) << listed.status().to_string();
  if (!listed) return found;
  for (const ObjectInfo& info : *listed) found.push_back(info.key);
  return found;
}

Status ArchiveConformance::put(std::string_view key, std::string_view body) {
  return archive_->put(key, body, "text/plain");
}

namespace {

TEST_P(ArchiveConformance, GivesBackTheBytesThatWerePut) {
  using namespace std::string_literals;
  const std::string binary = "\0\xff\r\n"s + std::string(3 << 20, 'x');
  ASSERT_TRUE(put("topic/dt=2026-11-23/hour=18/p0-7.d3.npy", binary).is_ok());
  ASSERT_TRUE(put("top-level", "").is_ok());
  EXPECT_EQ(*archive_->get("topic/dt=2026-11-23/hour=18/p0-7.d3.npy"), binary);
  EXPECT_EQ(*archive_->get("top-level"), "");
}

TEST_P(ArchiveConformance, PuttingAgainReplaces) {
  ASSERT_TRUE(put("a/b", "a longer first body").is_ok());
  ASSERT_TRUE(put("a/b", "second").is_ok());
  EXPECT_EQ(*archive_->get("a/b"), "second");
  EXPECT_THAT(keys(""), ElementsAre("a/b"));
}

TEST_P(ArchiveConformance, MissingObjectsAreNotFound) {
  ASSERT_TRUE(put("a/b", "x").is_ok());
  for (const char* key : {"a", "a/c", "a/b/c", "nothing"}) {
    EXPECT_EQ(archive_->get(key).status().code(), Code::kNotFound) << key;
  }
}

TEST_P(ArchiveConformance, ListsWhatBeginsWithThePrefixInOrderWithSizes) {
  for (const char* key : {"t/b", "t/a", "t/a-b/c", "t/a/c2", "tt/a", "u"}) {
    if (std::string_view(key) == "t/a") continue;
    ASSERT_TRUE(put(key, key).is_ok());
  }
  EXPECT_THAT(keys(""), ElementsAre("t/a-b/c", "t/a/c2", "t/b", "tt/a", "u"));
  EXPECT_THAT(keys("t/"), ElementsAre("t/a-b/c", "t/a/c2", "t/b"));
  EXPECT_THAT(keys("t/a"), ElementsAre("t/a-b/c", "t/a/c2"));
  EXPECT_THAT(keys("t"), ElementsAre("t/a-b/c", "t/a/c2", "t/b", "tt/a"));
  EXPECT_TRUE(keys("nothing/here/").empty());
  EXPECT_EQ(archive_->list("u")->front().size_bytes, 1U);
}

TEST_P(ArchiveConformance, PagesGoOnBehindAKeyWhetherItIsThereOrNot) {
  for (const char* key : {"t/a-b/c", "t/a/c2", "t/a/c3", "t/b", "u"}) {
    ASSERT_TRUE(put(key, key).is_ok());
  }
  const auto page = [this](std::string_view after, size_t limit) {
    std::vector<std::string> found;
    const Result<std::vector<ObjectInfo>> listed = archive_->list_page("t/", after, limit);
    EXPECT_TRUE(listed) << listed.status().to_string();
    for (const ObjectInfo& info : *listed) found.push_back(info.key);
    return found;
  };
  EXPECT_THAT(page("", 2), ElementsAre("t/a-b/c", "t/a/c2"));
  EXPECT_THAT(page("t/a/c2", 2), ElementsAre("t/a/c3", "t/b"));
  EXPECT_THAT(page("t/a/c20", 1), ElementsAre("t/a/c3"));
  EXPECT_THAT(page("t/a.", 9), ElementsAre("t/a/c2", "t/a/c3", "t/b"));
  EXPECT_THAT(page("s", 1), ElementsAre("t/a-b/c"));
  EXPECT_THAT(page("t/b", 9), IsEmpty());
  EXPECT_THAT(page("u", 9), IsEmpty());
}

TEST_P(ArchiveConformance, AnObjectOfManyMegabytesIsWhole) {
  std::string body(20'000'001, '\0');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2'654'435'761U >> 24U);
  ASSERT_TRUE(put("large/object", body).is_ok());
  const Result<std::string> read = archive_->get("large/object");
  ASSERT_TRUE(read) << read.status().to_string();
  EXPECT_TRUE(*read == body);
  EXPECT_EQ(archive_->list("large/")->front().size_bytes, body.size());
}

TEST_P(ArchiveConformance, KeysThatLeadElsewhereAreRefused) {
  const std::string long_part(256, 'x');
  std::string long_key = "a";
  while (long_key.size() <= 1024) long_key += "/abcdefgh";
  for (const std::string& key :
       {std::string(), std::string("/etc/passwd"), std::string("../a"), std::string("a/../b"),
        std::string("a/.."), std::string("."), std::string("a//b"), std::string("a/"),
        std::string(".hidden"), std::string("a/.incoming"), std::string("a b"), std::string("ü"),
        std::string("a\\b"), std::string("a\0b", 3), long_part, long_key}) {
    EXPECT_EQ(put(key, "x").code(), Code::kInvalidArgument) << key;
    EXPECT_EQ(archive_->get(key).status().code(), Code::kInvalidArgument) << key;
    EXPECT_EQ(archive_->remove(key).code(), Code::kInvalidArgument) << key;
  }
  EXPECT_TRUE(keys("").empty());
}

TEST_P(ArchiveConformance, RemovesOneObjectAndNothingElse) {
  for (const char* key : {"a/b", "a/b2", "a/c/d"}) ASSERT_TRUE(put(key, key).is_ok());
  for (int again = 0; again < 2; ++again) {
    EXPECT_TRUE(archive_->remove("a/b").is_ok());
    EXPECT_EQ(archive_->get("a/b").status().code(), Code::kNotFound);
    EXPECT_THAT(keys(""), ElementsAre("a/b2", "a/c/d"));
  }
  for (const char* no_object : {"a", "a/c", "a/b2/x", "nothing"}) {
    EXPECT_TRUE(archive_->remove(no_object).is_ok()) << no_object;
  }
  EXPECT_THAT(keys(""), ElementsAre("a/b2", "a/c/d"));
  ASSERT_TRUE(put("a/b", "back").is_ok());
  EXPECT_EQ(*archive_->get("a/b"), "back");
}

TEST_P(ArchiveConformance, ReadersSeeTheOldOrTheNewObjectNeverAPart) {
  const std::string bodies[] = {std::string(200'000, 'a'), std::string(100'000, 'b')};
  ASSERT_TRUE(put("k/x", bodies[0]).is_ok());
  std::atomic<bool> done = false;
  std::jthread writer([&] {
    for (size_t i = 0; i < 50; ++i) EXPECT_TRUE(put("k/x", bodies[i % 2]).is_ok());
    done = true;
  });
  while (!done) {
    const Result<std::string> body = archive_->get("k/x");
    ASSERT_TRUE(body) << body.status().to_string();
    EXPECT_TRUE(*body == bodies[0] || *body == bodies[1]);
  }
}

TEST_P(ArchiveConformance, IsReady) {
  EXPECT_TRUE(archive_->ping().is_ok());
}

}  // namespace
}  // namespace ca4::archive
