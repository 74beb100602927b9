// The conformance suite of the Archive port, and what only the folder promises.
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "archive/folder_archive.h"
#include "archive/memory_archive.h"
#include "base/test_dir.h"
#include "store/store_test_support.h"

namespace ca4::archive {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Backend {
  const char* name;
  std::unique_ptr<Archive> (*open)(const std::string& dir);
};

std::unique_ptr<Archive> open_memory(const std::string&) {
  return std::make_unique<MemoryArchive>();
}

std::unique_ptr<Archive> open_folder(const std::string& dir) {
  Result<std::unique_ptr<FolderArchive>> archive = FolderArchive::open(dir);
  EXPECT_TRUE(archive) << archive.status().to_string();
  return archive ? std::move(*archive) : nullptr;
}

class ArchiveConformance : public testing::TestWithParam<Backend> {
 protected:
  std::vector<std::string> keys(std::string_view prefix) {
    std::vector<std::string> found;
    const Result<std::vector<ObjectInfo>> listed = archive_->list(prefix);
    EXPECT_TRUE(listed) << listed.status().to_string();
    for (const ObjectInfo& info : *listed) found.push_back(info.key);
    return found;
  }
  Status put(std::string_view key, std::string_view body) {
    return archive_->put(key, body, "text/plain");
  }

  TempDir dir_;
  std::unique_ptr<Archive> archive_ = GetParam().open(dir_.path());
};

INSTANTIATE_TEST_SUITE_P(Backends, ArchiveConformance,
                         testing::Values(Backend{"memory", open_memory},
                                         Backend{"folder", open_folder}),
                         [](const auto& test) { return std::string(test.param.name); });

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
  }
  EXPECT_TRUE(keys("").empty());
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

TEST(FolderArchive, KeepsObjectsWhenOpenedAgainAsPlainFiles) {
  const TempDir dir;
  ASSERT_TRUE(open_folder(dir.path() + "/new/archive")->put("a/b", "x", "").is_ok());
  EXPECT_EQ(*open_folder(dir.path() + "/new/archive")->get("a/b"), "x");
  EXPECT_TRUE(std::filesystem::is_regular_file(dir.path() + "/new/archive/a/b"));
}

TEST(FolderArchive, OldUnfinishedFilesAreRemovedYoungOnesAreSomebodys) {
  namespace fs = std::filesystem;
  const TempDir dir;
  (void)open_folder(dir.path());
  const std::string old_file = dir.path() + "/.incoming/old";
  const std::string young_file = dir.path() + "/.incoming/young";
  std::ofstream(old_file) << "x";
  std::ofstream(young_file) << "x";
  fs::last_write_time(old_file, fs::file_time_type::clock::now() - std::chrono::hours(2));
  const std::unique_ptr<Archive> archive = open_folder(dir.path());
  EXPECT_FALSE(fs::exists(old_file));
  EXPECT_TRUE(fs::exists(young_file));
  EXPECT_TRUE(archive->list("")->empty());
}

TEST(FolderArchive, AFileInTheWayIsReportedWithItsPath) {
  const TempDir dir;
  std::ofstream(dir.path() + "/file") << "x";
  const auto archive = FolderArchive::open(dir.path() + "/file");
  ASSERT_FALSE(archive);
  EXPECT_EQ(archive.status().code(), Code::kIo);
  EXPECT_THAT(archive.status().message(), HasSubstr(dir.path() + "/file"));
}

TEST(FolderArchive, AFailedPutLeavesNothingAndALaterOneSucceeds) {
  const TempDir dir;
  const std::unique_ptr<Archive> archive = open_folder(dir.path());
  std::filesystem::create_directory(dir.path() + "/taken");
  const Status status = archive->put("taken", "x", "");
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_THAT(status.message(), HasSubstr("taken"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path() + "/.incoming"));
  ASSERT_TRUE(archive->put("a/b", "x", "").is_ok());
  std::filesystem::remove_all(dir.path() + "/a");
  EXPECT_FALSE(archive->put("a/b", "x", "").is_ok());
  EXPECT_TRUE(archive->put("a/b", "x", "").is_ok());
}

TEST(FolderArchive, AFolderThatVanishedIsNotReady) {
  const TempDir dir;
  const std::unique_ptr<Archive> archive = open_folder(dir.path() + "/a");
  std::filesystem::remove_all(dir.path() + "/a");
  EXPECT_EQ(archive->ping().code(), Code::kIo);
}

}  // namespace
}  // namespace ca4::archive
