#include "processor/version_mark.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/test_dir.h"

namespace ca4::processor {
namespace {

constexpr uint64_t kVersion = 1'800'000'000'000'000;
constexpr uint64_t kSecond = 1'000'000;

class VersionMarkTest : public testing::Test {
 protected:
  std::unique_ptr<VersionMark> open() {
    Result<std::unique_ptr<VersionMark>> mark = VersionMark::open(file_);
    EXPECT_TRUE(mark.is_ok()) << mark.status().message();
    return std::move(*mark);
  }
  // What the next run would find.
  uint64_t marked() { return open()->highest(); }
  // Waits until the mark covers a version.
  void expect_covers(uint64_t version) {
    for (int tries = 0; tries < 1000 && marked() < version; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_GE(marked(), version);
    EXPECT_LE(marked(), version + 2 * kSecond);
  }
  void spoil(std::streamoff at) {
    std::fstream file(file_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.put('\x55');
  }

  const TempDir dir_;
  const std::string file_ = dir_ / "outbox/topic.db-version";
};

TEST_F(VersionMarkTest, KnowsNothingAtFirst) {
  EXPECT_EQ(open()->highest(), 0U);
  EXPECT_EQ(open()->highest(), 0U);
}

TEST_F(VersionMarkTest, IsAheadOfWhatWasGivenByAtMostTwoSeconds) {
  const auto mark = open();
  mark->given(kVersion);
  expect_covers(kVersion);
  mark->given(kVersion + 100 * kSecond);
  expect_covers(kVersion + 100 * kSecond);
  mark->given(kVersion + 101 * kSecond);
  expect_covers(kVersion + 102 * kSecond);
}

TEST_F(VersionMarkTest, IsNotAheadOfARunThatEnded) {
  auto mark = open();
  mark->given(kVersion);
  expect_covers(kVersion + kSecond);
  mark->given(kVersion + 7);
  mark.reset();
  EXPECT_EQ(marked(), kVersion + 7);
  EXPECT_EQ(marked(), kVersion + 7);  // also after a run that gave none
}

TEST_F(VersionMarkTest, IsWrittenOnceInASecondOfVersions) {
  const auto mark = open();
  mark->given(kVersion);
  expect_covers(kVersion);
  const uint64_t before = marked();
  for (uint64_t more = 0; more < kSecond; more += 1000) mark->given(kVersion + more);
  EXPECT_EQ(marked(), before);
}

TEST_F(VersionMarkTest, NeverGoesBack) {
  {
    const auto mark = open();
    mark->given(kVersion);
    expect_covers(kVersion);
    mark->given(kVersion - 100 * kSecond);
  }
  EXPECT_GE(marked(), kVersion);
}

TEST_F(VersionMarkTest, OfTwoSlotsOneMayBeTorn) {
  open()->given(kVersion);
  spoil(512);
  EXPECT_EQ(marked(), kVersion);
  spoil(0);
  EXPECT_EQ(marked(), 0U);
}

TEST_F(VersionMarkTest, ATornSlotIsWrittenNext) {
  open()->given(kVersion);
  spoil(512);
  const auto mark = open();
  mark->given(kVersion + 20 * kSecond);
  expect_covers(kVersion + 20 * kSecond);
  spoil(512);
  EXPECT_EQ(marked(), kVersion);
}

// Lets no file of this process grow beyond so many bytes.
void limit_files(rlim_t bytes) {
  const rlimit limit{.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

TEST_F(VersionMarkTest, ADiskThatRefusesIsTriedAgain) {
  std::signal(SIGXFSZ, SIG_IGN);
  auto mark = open();
  limit_files(0);
  mark->given(kVersion);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(marked(), 0U);
  limit_files(RLIM_INFINITY);
  expect_covers(kVersion);
  limit_files(0);
  mark->given(kVersion + 10 * kSecond);
  mark.reset();  // and holds up nobody who ends
  limit_files(RLIM_INFINITY);
}

TEST_F(VersionMarkTest, WhatIsNoFileIsAnErrorWithItsPath) {
  std::filesystem::create_directories(file_);
  const auto mark = VersionMark::open(file_);
  ASSERT_FALSE(mark.is_ok());
  EXPECT_EQ(mark.status().code(), Code::kIo);
  EXPECT_NE(mark.status().message().find(file_), std::string::npos);
}

}  // namespace
}  // namespace ca4::processor
