#include "producer/journal.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "producer/journal_place.h"
#include "producer/test_support.h"

namespace ca4::producer {
namespace {

const std::string kA(32, 'a');
const std::string kB(32, 'b');
const std::string kC(32, 'c');

// Opens, adds, closes.
void write(const std::string& path, std::initializer_list<std::string> keys) {
  auto journal = Journal::open(path);
  ASSERT_TRUE(journal) << journal.status().message();
  for (const std::string& key : keys) {
    ASSERT_TRUE((*journal)->add(key, "img-1", "/photos/my cat.png", 1795460000).is_ok());
  }
}

TEST(Journal, RemembersAcrossRuns) {
  const TempDir folder;
  write(folder / "j", {kA, kB});
  const auto journal = Journal::open(folder / "j");
  ASSERT_TRUE(journal);
  EXPECT_TRUE((*journal)->contains(kA));
  EXPECT_TRUE((*journal)->contains(kB));
  EXPECT_FALSE((*journal)->contains(kC));
  EXPECT_EQ((*journal)->damaged_lines(), 0U);
}

TEST(Journal, LinesAreAsDocumented) {
  const TempDir folder;
  write(folder / "j", {kA});
  const std::string text = slurp(folder / "j");
  EXPECT_EQ(text.substr(8), " 1795460000 " + kA + " img-1 /photos/my%20cat.png\n");
}

TEST(Journal, SameItemIsWrittenOnce) {
  const TempDir folder;
  write(folder / "j", {kA, kA});
  const std::string text = slurp(folder / "j");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(Journal, TornLastLineCostsItsItemOnly) {
  const TempDir folder;
  write(folder / "j", {kA, kB});
  const std::string whole = slurp(folder / "j");
  const size_t first_line = whole.find('\n') + 1;
  // Without its end alone the last line is whole.
  for (size_t size = first_line; size < whole.size() - 1; ++size) {
    spill(folder / "j", whole.substr(0, size));
    write(folder / "j", {kC});
    const auto journal = Journal::open(folder / "j");
    ASSERT_TRUE(journal);
    EXPECT_TRUE((*journal)->contains(kA)) << size;
    EXPECT_FALSE((*journal)->contains(kB)) << size;
    EXPECT_TRUE((*journal)->contains(kC)) << size;
    EXPECT_EQ((*journal)->damaged_lines(), size == first_line ? 0U : 1U);
  }
}

TEST(Journal, EditedLineDoesNotCount) {
  const TempDir folder;
  write(folder / "j", {kA, kB});
  std::string text = slurp(folder / "j");
  text[text.find(kA)] = 'f';
  spill(folder / "j", text);
  const auto journal = Journal::open(folder / "j");
  ASSERT_TRUE(journal);
  EXPECT_FALSE((*journal)->contains(kA));
  EXPECT_TRUE((*journal)->contains(kB));
  EXPECT_EQ((*journal)->damaged_lines(), 1U);
}

TEST(Journal, AFileOfSomethingElseIsRefusedAndStaysAsItIs) {
  const TempDir folder;
  for (const std::string& text : {std::string("\xff\xd8\xff\xe0 a picture"), std::string("notes\n"),
                                  std::string("1,2,3\n"), std::string("#")}) {
    spill(folder / "j", text);
    const Status status = Journal::open(folder / "j").status();
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_THAT(status.message(), testing::HasSubstr("--journal"));
    EXPECT_EQ(slurp(folder / "j"), text);
  }
}

TEST(Journal, AFileThatIsBegunOrZeroIsAJournal) {
  const TempDir folder;
  for (const std::string& text :
       {std::string(), std::string("0a"), std::string("\n"), std::string(100, '\0')}) {
    spill(folder / "j", text);
    EXPECT_TRUE(Journal::open(folder / "j"));
  }
}

TEST(Journal, ADamagedFileIsReadAsDamagedNotAsACrash) {
  const TempDir folder;
  spill(folder / "j",
        std::string("ffffffff\n\0\n\n short\n00000000 \n", 30) + std::string(500, 'x'));
  const auto journal = Journal::open(folder / "j");
  ASSERT_TRUE(journal);
  EXPECT_GE((*journal)->damaged_lines(), 5U);
}

TEST(Journal, SecondRunAtTheSameTimeIsRefused) {
  const TempDir folder;
  const auto first = Journal::open(folder / "j");
  ASSERT_TRUE(first);
  EXPECT_EQ(Journal::open(folder / "j").status().code(), Code::kUnavailable);
}

TEST(Journal, MissingFolderIsAnErrorWithThePath) {
  const Status status = Journal::open("/nonexistent/j").status();
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_THAT(status.message(), testing::HasSubstr("/nonexistent/j"));
}

TEST(Journal, ClosingAtEachSyncKeepsLinesAndTheLock) {
  const TempDir folder;
  {
    auto journal = Journal::open(folder / "j", Journal::Keep::kCloseAtSync);
    ASSERT_TRUE(journal) << journal.status().message();
    ASSERT_TRUE((*journal)->add(kA, "img-1", "/a.png", 1).is_ok());
    ASSERT_TRUE((*journal)->sync().is_ok());
    ASSERT_TRUE((*journal)->add(kB, "img-2", "/b.png", 2).is_ok());
    ASSERT_TRUE((*journal)->sync().is_ok());
    EXPECT_EQ(Journal::open(folder / "j").status().code(), Code::kUnavailable);
  }
  const auto again = Journal::open(folder / "j");
  ASSERT_TRUE(again);
  EXPECT_TRUE((*again)->contains(kA));
  EXPECT_TRUE((*again)->contains(kB));
}

TEST(Journal, FileThatVanishedBetweenSyncsIsAFailureNotALoss) {
  const TempDir folder;
  auto journal = Journal::open(folder / "j", Journal::Keep::kCloseAtSync);
  ASSERT_TRUE(journal);
  std::filesystem::remove(folder / "j");
  std::filesystem::create_directory(folder / "j");  // as a Drive that was unmounted may leave it
  EXPECT_FALSE((*journal)->sync().is_ok());
  EXPECT_FALSE((*journal)->add(kA, "img-1", "/a.png", 1).is_ok());
}

// Other requests are answered before the run has ended for a full disk.
TEST(Journal, AfterALineThatFoundNoRoomTheNextIsWhole) {
  const TempDir folder;
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  {
    auto journal = Journal::open(folder / "j");
    ASSERT_TRUE(journal);
    const rlimit tight{.rlim_cur = 20, .rlim_max = before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
    const Status full = (*journal)->add(kA, "img-1", "/a.png", 1);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(full.code(), Code::kIo);
    EXPECT_TRUE((*journal)->add(kB, "img-2", "/b.png", 1).is_ok());
  }
  const auto journal = Journal::open(folder / "j");
  ASSERT_TRUE(journal);
  EXPECT_FALSE((*journal)->contains(kA));
  EXPECT_TRUE((*journal)->contains(kB));
}

TEST(JournalPlace, IsOnTheDriveWhereThereIsOne) {
  const TempDir folder;
  const std::string drive = folder / "MyDrive";
  EXPECT_EQ(default_journal(drive), ".ca4-journal");
  std::filesystem::create_directory(drive);
  EXPECT_EQ(default_journal(drive), drive + "/ca4/produce.journal");
  EXPECT_TRUE(Journal::open(default_journal(drive)));
}

// As a mount of FUSE whose other end is gone: there is something, and nobody can say what.
TEST(JournalPlace, ADriveThatCanNotBeLookedAtIsNotTakenForNone) {
  const TempDir folder;
  const std::string drive = folder / "MyDrive";
  std::filesystem::create_symlink("MyDrive", drive);
  EXPECT_EQ(default_journal(drive), drive + "/ca4/produce.journal");
  EXPECT_FALSE(Journal::open(default_journal(drive)));
}

}  // namespace
}  // namespace ca4::producer
