#include "base/replace_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/test_dir.h"

namespace ca4 {
namespace {

std::string content(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

mode_t mode_of(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  return info.st_mode & 07777U;
}

size_t files_in(const std::string& folder) {
  const std::filesystem::directory_iterator files(folder);
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}

TEST(ReplaceFile, ANewOneIsForItsOwnerAlone) {
  const TempDir dir;
  const std::string path = dir / "file";
  ASSERT_TRUE(replace_file(path, "one\n").is_ok());
  EXPECT_EQ(content(path), "one\n");
  EXPECT_EQ(mode_of(path), 0600U);
  EXPECT_EQ(files_in(dir.path()), 1U);
}

TEST(ReplaceFile, OneThatIsThereKeepsItsModeButForOthers) {
  const TempDir dir;
  const std::string path = dir / "file";
  std::ofstream(path) << "much more than comes";
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  ASSERT_TRUE(replace_file(path, "two\n").is_ok());
  EXPECT_EQ(content(path), "two\n");
  EXPECT_EQ(mode_of(path), 0640U);
}

TEST(ReplaceFile, WhatAKilledProcessOfThisNumberLeftIsNoObstacle) {
  const TempDir dir;
  const std::string path = dir / "file";
  std::ofstream(path + "." + std::to_string(::getpid()) + ".new") << "half";
  ASSERT_TRUE(replace_file(path, "three\n").is_ok());
  EXPECT_EQ(content(path), "three\n");
  EXPECT_EQ(files_in(dir.path()), 1U);
}

TEST(ReplaceFile, WithoutItsFolderIsAnErrorWithThePath) {
  const TempDir dir;
  const std::string path = dir / "none/file";
  const Status bad = replace_file(path, "");
  EXPECT_EQ(bad.code(), Code::kIo);
  EXPECT_NE(bad.message().find(path), std::string::npos);
}

}  // namespace
}  // namespace ca4
