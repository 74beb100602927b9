// The conformance suite on the archives that need no server, and what only the folder promises.
#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "archive/archive_conformance.h"
#include "archive/folder_archive.h"
#include "archive/memory_archive.h"

namespace ca4::archive {
namespace {

using testing::HasSubstr;

std::unique_ptr<Archive> open_memory(const std::string&) {
  return std::make_unique<MemoryArchive>();
}

std::unique_ptr<Archive> open_folder(const std::string& dir) {
  Result<std::unique_ptr<FolderArchive>> archive = FolderArchive::open(dir);
  EXPECT_TRUE(archive) << archive.status().to_string();
  return archive ? std::move(*archive) : nullptr;
}

INSTANTIATE_TEST_SUITE_P(Memory, ArchiveConformance, testing::Values(&open_memory));
INSTANTIATE_TEST_SUITE_P(Folder, ArchiveConformance, testing::Values(&open_folder));

TEST(Archive, ListsMoreThanAPage) {
  MemoryArchive archive;
  for (int i = 0; i < 2'000; ++i) {
    ASSERT_TRUE(archive.put("n/" + std::to_string(10'000 + i), "", "").is_ok());
  }
  const Result<std::vector<ObjectInfo>> listed = archive.list("n/");
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2'000U);
  EXPECT_EQ(listed->front().key, "n/10000");
  EXPECT_EQ(listed->back().key, "n/11999");
}

TEST(FolderArchive, KeepsObjectsWhenOpenedAgainAsPlainFiles) {
  const TempDir dir;
  ASSERT_TRUE(open_folder(dir.path() + "/new/archive")->put("a/b", "x", "").is_ok());
  EXPECT_EQ(*open_folder(dir.path() + "/new/archive")->get("a/b"), "x");
  EXPECT_TRUE(std::filesystem::is_regular_file(dir.path() + "/new/archive/a/b"));
}

TEST(FolderArchive, OpenedForReadingChangesNothing) {
  const TempDir dir;
  EXPECT_EQ(FolderArchive::open_read_only(dir.path() + "/none").status().code(), Code::kNotFound);
  std::filesystem::create_directory(dir.path() + "/a");
  std::ofstream(dir.path() + "/a/b") << "x";
  const auto archive = FolderArchive::open_read_only(dir.path());
  ASSERT_TRUE(archive);
  EXPECT_EQ(*(*archive)->get("a/b"), "x");
  EXPECT_FALSE(std::filesystem::exists(dir.path() + "/.incoming"));
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
