#include "admin/address_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/test_dir.h"

namespace ca4::admin {
namespace {

using testing::IsEmpty;

class AddressFileTest : public testing::Test {
 protected:
  std::unique_ptr<AddressFile> write(const std::string& name, const std::string& address) {
    auto file = AddressFile::write(folder_, name, address);
    EXPECT_TRUE(file) << file.status().to_string();
    return std::move(*file);
  }
  std::vector<std::string> running() const {
    std::vector<std::string> out;
    for (const RunningProcess& one : running_processes(folder_)) {
      out.push_back(one.name + " " + one.address);
    }
    return out;
  }

  const TempDir dir_;
  const std::string folder_ = dir_.path() + "/data/admin";
};

TEST_F(AddressFileTest, IsThereAsLongAsItsProcess) {
  EXPECT_THAT(running(), IsEmpty());
  {
    const auto file = write("work", "http://127.0.0.1:1");
    EXPECT_EQ(file->path(), folder_ + "/work");
    EXPECT_THAT(running(), testing::ElementsAre("work http://127.0.0.1:1"));
  }
  EXPECT_THAT(running(), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/data")) << "nothing is left of it";
}

TEST_F(AddressFileTest, AFolderWithSomethingInItStays) {
  std::filesystem::create_directories(dir_.path() + "/data");
  {
    const auto file = write("work", "http://127.0.0.1:1");
  }
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/data")) << "it was there before";
  EXPECT_FALSE(std::filesystem::exists(folder_));
  {
    const auto file = write("work", "http://127.0.0.1:1");
    std::ofstream(dir_.path() + "/data/other") << "x";
  }
  EXPECT_TRUE(std::filesystem::exists(dir_.path() + "/data/other"));
}

TEST_F(AddressFileTest, ASecondProcessOfThatNameGetsAnother) {
  const auto first = write("work", "http://127.0.0.1:1");
  auto second = write("work", "http://127.0.0.1:2");
  const auto third = write("work", "http://127.0.0.1:3");
  EXPECT_EQ(second->path(), folder_ + "/work-2");
  EXPECT_EQ(third->path(), folder_ + "/work-3");
  second.reset();
  EXPECT_THAT(running(),
              testing::ElementsAre("work http://127.0.0.1:1", "work-3 http://127.0.0.1:3"));
  EXPECT_EQ(write("work", "http://127.0.0.1:4")->path(), folder_ + "/work-2");
}

TEST_F(AddressFileTest, WhatAKilledProcessLeftIsNoAddressAndIsTakenOver) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ + "/serve") << "http://127.0.0.1:12345678\nand more\n";
  EXPECT_THAT(running(), IsEmpty());
  const auto file = write("serve", "http://127.0.0.1:5");
  EXPECT_EQ(file->path(), folder_ + "/serve");
  EXPECT_THAT(running(), testing::ElementsAre("serve http://127.0.0.1:5"));
  std::ifstream in(file->path());
  const std::string text(std::istreambuf_iterator<char>(in), {});
  EXPECT_EQ(text, "http://127.0.0.1:5\n");
}

TEST_F(AddressFileTest, AFolderThatCanNotBeIsNamed) {
  std::ofstream(dir_.path() + "/data") << "a file";
  const auto file = AddressFile::write(folder_, "work", "http://127.0.0.1:1");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.status().code(), Code::kIo);
  EXPECT_THAT(file.status().message(), testing::HasSubstr(folder_));
}

}  // namespace
}  // namespace ca4::admin
