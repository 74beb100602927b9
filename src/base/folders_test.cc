#include "base/folders.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/test_dir.h"

namespace ca4 {
namespace {

TEST(Folders, AreMadeWithThoseAboveAndMayBeThereAlready) {
  TempDir dir;
  const std::string path = dir.path() + "/a/b/c";
  for (int round = 0; round < 2; ++round) {
    const Status made = make_durable_folders(path);
    EXPECT_TRUE(made.is_ok()) << made.to_string();
    EXPECT_TRUE(std::filesystem::is_directory(path));
  }
  EXPECT_TRUE(make_durable_folders(path + "/").is_ok());
  EXPECT_TRUE(make_durable_folders(".").is_ok());
  EXPECT_TRUE(make_durable_folders("/").is_ok());
}

TEST(Folders, BehindALinkAreWhereTheKernelLooksForThem) {
  TempDir dir;
  std::filesystem::create_directories(dir.path() + "/elsewhere/5");
  std::filesystem::create_directory_symlink(dir.path() + "/elsewhere/5", dir.path() + "/current");
  ASSERT_TRUE(make_durable_folders(dir.path() + "/current/../shared/log").is_ok());
  EXPECT_TRUE(std::filesystem::is_directory(dir.path() + "/elsewhere/shared/log"));
  ASSERT_TRUE(make_durable_folders(dir.path() + "/current/data").is_ok());
  EXPECT_TRUE(std::filesystem::is_directory(dir.path() + "/elsewhere/5/data"));
}

TEST(Folders, AFileInTheWayIsAnIoError) {
  TempDir dir;
  std::ofstream(dir.path() + "/file") << "x";
  EXPECT_EQ(make_durable_folders(dir.path() + "/file").code(), Code::kIo);
  EXPECT_EQ(make_durable_folders(dir.path() + "/file/log").code(), Code::kIo);
}

TEST(Folders, WhatCanNotBeMadeIsAnIoErrorWithItsPath) {
  const Status status = make_durable_folders("/proc/ca4/folder");
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("/proc/ca4"), std::string::npos);
  EXPECT_EQ(sync_folder("/proc/ca4").code(), Code::kIo);
}

}  // namespace
}  // namespace ca4
