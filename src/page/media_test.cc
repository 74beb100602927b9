#include "page/media.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "base/test_dir.h"

namespace ca4::page {
namespace {

namespace fs = std::filesystem;

class MediaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = (top_ / "photos").string();
    write("photos/cat.jpg", "cat");
    write("photos/a b/\xC3\xA9%.PNG", "accents");
    write("photos/notes.txt", "notes");
    write("photos/none", "no ending");
    write("photos-private/dog.jpg", "dog");
    write("secret.png", "secret");
  }

  void write(const std::string& name, const std::string& bytes) {
    fs::create_directories((top_ / name).parent_path());
    std::ofstream(top_ / name, std::ios::binary) << bytes;
  }
  std::string uri(const std::string& name) const { return "file://" + (top_ / name).string(); }
  void expect_refused(const std::string& source_uri) const {
    const auto media = load_media(source_uri, root_);
    ASSERT_FALSE(media.is_ok()) << source_uri;
    EXPECT_FALSE(has_media(source_uri, root_)) << source_uri;
    EXPECT_EQ(media.status().code(), Code::kNotFound);
    EXPECT_EQ(media.status().message(), "no image to show for this document");
  }

  const TempDir temporary_;
  const fs::path top_{temporary_.path()};
  std::string root_;
};

TEST_F(MediaTest, ImagesBelowTheRootAreGivenWithTheirType) {
  const std::string path = (top_ / "photos/cat.jpg").string();
  for (const std::string& source : {uri("photos/cat.jpg"), "file://localhost" + path, path,
                                    std::string("cat.jpg"), uri("photos/../photos/cat.jpg")}) {
    const auto media = load_media(source, root_);
    ASSERT_TRUE(media.is_ok()) << source;
    EXPECT_TRUE(has_media(source, root_)) << source;
    EXPECT_EQ(media.value().content_type, "image/jpeg");
    EXPECT_EQ(media.value().bytes, "cat");
  }
  EXPECT_TRUE(load_media(uri("photos/cat.jpg"), root_ + "/").is_ok());
  const auto png = load_media(uri("photos/a%20b/%C3%A9%25.PNG"), root_);
  ASSERT_TRUE(png.is_ok());
  EXPECT_EQ(png.value().content_type, "image/png");
  EXPECT_EQ(png.value().bytes, "accents");
}

TEST_F(MediaTest, PathsOutOfTheRootAreRefused) {
  expect_refused(uri("photos/../secret.png"));
  expect_refused(uri("photos/%2e%2e/secret.png"));
  expect_refused("../secret.png");
  expect_refused(uri("secret.png"));
  expect_refused(uri("photos-private/dog.jpg"));
}

TEST_F(MediaTest, LinksOutOfTheRootAreRefused) {
  fs::create_symlink(top_ / "secret.png", top_ / "photos/link.png");
  fs::create_directory_symlink(top_ / "photos-private", top_ / "photos/folder");
  expect_refused(uri("photos/link.png"));
  expect_refused(uri("photos/folder/dog.jpg"));
}

TEST_F(MediaTest, LinkIsJudgedByTheEndingOfItsTarget) {
  fs::create_symlink(top_ / "photos/notes.txt", top_ / "photos/notes.png");
  expect_refused(uri("photos/notes.png"));
}

TEST_F(MediaTest, WhatIsNoImageFileIsRefused) {
  fs::create_directory(top_ / "photos/folder.png");
  expect_refused(uri("photos/notes.txt"));
  expect_refused(uri("photos/none"));
  expect_refused(uri("photos/missing.png"));
  expect_refused(uri("photos/folder.png"));
  expect_refused(uri("photos/cat.jpg%00.png"));
  expect_refused("https://example.com/cat.jpg");
  expect_refused("file://elsewhere/cat.jpg");
  expect_refused("");
  EXPECT_FALSE(load_media(uri("photos/cat.jpg"), "").is_ok());
}

TEST_F(MediaTest, FilesOverTheLimitAreRefused) {
  fs::resize_file(top_ / "photos/cat.jpg", kMediaBytesMax + 1);
  expect_refused(uri("photos/cat.jpg"));
}

}  // namespace
}  // namespace ca4::page
