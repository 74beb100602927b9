#include "producer/paths.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class ExpandPaths : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ / "b/deep");
    std::filesystem::create_directories(folder_ / "empty");
    for (const char* name : {"z.jpg", "a.PNG", "notes.txt", "b/c.webp", "b/deep/d.jpeg"}) {
      spill(folder_ / name, "");
    }
  }
  std::vector<std::string> expand(std::initializer_list<std::string> names) const {
    std::vector<std::string> arguments;
    for (const std::string& name : names) arguments.push_back(folder_ / name);
    const auto found = expand_paths(arguments);
    EXPECT_TRUE(found) << found.status().message();
    return found ? *found : std::vector<std::string>{};
  }
  TempDir folder_;
};

TEST_F(ExpandPaths, FolderGivesItsImagesAndThoseBelowByName) {
  EXPECT_THAT(expand({""}), ElementsAre(folder_ / "a.PNG", folder_ / "b/c.webp",
                                        folder_ / "b/deep/d.jpeg", folder_ / "z.jpg"));
}

TEST_F(ExpandPaths, NamedFileIsTakenWhateverItsEnding) {
  EXPECT_THAT(expand({"notes.txt"}), ElementsAre(folder_ / "notes.txt"));
}

TEST_F(ExpandPaths, EachFileOnceInTheOrderOfTheArguments) {
  EXPECT_THAT(expand({"z.jpg", "b", "./b/../z.jpg", "b/deep"}),
              ElementsAre(folder_ / "z.jpg", folder_ / "b/c.webp", folder_ / "b/deep/d.jpeg"));
}

TEST_F(ExpandPaths, PatternMayMatchFilesAndFolders) {
  EXPECT_THAT(expand({"*"}),
              ElementsAre(folder_ / "a.PNG", folder_ / "b/c.webp", folder_ / "b/deep/d.jpeg",
                          folder_ / "notes.txt", folder_ / "z.jpg"));
  EXPECT_THAT(expand({"?.jpg"}), ElementsAre(folder_ / "z.jpg"));
}

TEST_F(ExpandPaths, FileWhoseNameLooksLikeAPatternIsAFile) {
  spill(folder_ / "[1].jpg", "");
  EXPECT_THAT(expand({"[1].jpg"}), ElementsAre(folder_ / "[1].jpg"));
}

TEST_F(ExpandPaths, PicturesOfOtherKindsAreNamedAndNotLeftOutInSilence) {
  for (const char* name : {"empty/1.HEIC", "empty/2.heic", "empty/3.gif", "empty/notes.txt"}) {
    spill(folder_ / name, "");
  }
  std::string advice;
  EXPECT_TRUE(expand_paths({folder_ / ""}, &advice));
  EXPECT_EQ(advice,
            "pictures of kinds that are not read are left out (1 .gif, 2 .heic): make JPEG, PNG or "
            "WebP of them");
  EXPECT_TRUE(expand_paths({folder_ / "b"}, &advice));
  EXPECT_EQ(advice, "");
  EXPECT_THAT(expand_paths({folder_ / "empty"}).status().message(),
              AllOf(HasSubstr("no .jpg"), HasSubstr("2 .heic")));
}

TEST_F(ExpandPaths, APipeIsRefusedAndNotWaitedFor) {
  ASSERT_EQ(mkfifo((folder_ / "pipe.jpg").c_str(), 0600), 0);
  EXPECT_THAT(expand_paths({folder_ / "pipe.jpg"}).status().message(), HasSubstr("a pipe"));
  EXPECT_THAT(expand({"*.jpg"}), ElementsAre(folder_ / "z.jpg"));
}

TEST_F(ExpandPaths, ALinkThatLeadsNowhereIsNotLeftOut) {
  std::filesystem::create_symlink("gone.jpg", folder_ / "b/link.jpg");
  std::filesystem::create_symlink("../empty", folder_ / "b/folder.jpg");
  EXPECT_THAT(expand({"b"}),
              ElementsAre(folder_ / "b/c.webp", folder_ / "b/deep/d.jpeg", folder_ / "b/link.jpg"));
}

TEST_F(ExpandPaths, WhatGivesNothingIsAnError) {
  for (const char* name : {"missing.jpg", "empty", "*.gif"}) {
    const Status status = expand_paths({folder_ / name}).status();
    EXPECT_EQ(status.code(), Code::kNotFound) << name;
    EXPECT_THAT(status.message(), HasSubstr(name));
  }
}

TEST(FileUri, EscapesWhatUrisReserve) {
  EXPECT_EQ(file_uri("/a b/c%#?ü.png"), "file:///a%20b/c%25%23%3F%C3%BC.png");
}

}  // namespace
}  // namespace ca4::producer
