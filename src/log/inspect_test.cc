#include "log/inspect.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "base/sqlite.h"
#include "base/test_dir.h"
#include "log/embedded_log.h"

namespace ca4::log {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr int64_t kStartUs = 1'700'000'000'000'000;
constexpr size_t kPageBytes = 8192;

class InspectTest : public testing::Test {
 protected:
  // `count` records "0", "1", … of 9,000 bytes each: a page of the tree and an overflow page.
  void write(int count) {
    auto log = EmbeddedLog::open({.dir = dir_.path(), .groups = {"reader"}}, clock_).value();
    for (int i = 0; i < count; ++i) {
      clock_.advance_us(1'000'000);
      std::string value = std::to_string(i) + ";";
      value.resize(9'000, 'v');
      ASSERT_TRUE(append_and_wait(*log, {{std::to_string(i), value, {}}}).is_ok());
    }
    if (count > 2) {
      ASSERT_TRUE(log->consumer("reader").value()->commit({{0, 2}}).is_ok());
    }
  }

  std::string file() const { return dir_.path() + "/gpu-metadata.db"; }

  // Overwrites every page of the file that holds `text`.
  void damage_pages_with(const std::string& text) const {
    std::fstream file_stream(file(), std::ios::binary | std::ios::in | std::ios::out);
    std::string page(kPageBytes, '\0');
    for (size_t at = 0; file_stream.read(page.data(), kPageBytes); at += kPageBytes) {
      if (page.find(text) == std::string::npos) continue;
      file_stream.seekp(static_cast<std::streamoff>(at));
      file_stream << std::string(kPageBytes, '\xff');
      file_stream.seekg(static_cast<std::streamoff>(at + kPageBytes));
    }
  }

  LogInspector inspector() const { return LogInspector::open(dir_.path(), "gpu-metadata").value(); }

  static RecordReader::Visit keys_into(std::vector<std::string>& keys) {
    return [&keys](const StoredRecord& record) {
      keys.push_back(record.damage.empty() ? std::string(record.key) : "damaged");
      return true;
    };
  }

  static Status all_good(std::string_view) { return Status::ok(); }

  TempDir dir_;
  ManualClock clock_{kStartUs};
};

TEST_F(InspectTest, SummaryTellsExtentTimesAndGroups) {
  write(5);
  const LogSummary summary = inspector().summary().value();
  EXPECT_EQ(summary.first, 0);
  EXPECT_EQ(summary.end, 5);
  EXPECT_EQ(summary.oldest_us, kStartUs + 1'000'000);
  EXPECT_EQ(summary.newest_us, kStartUs + 5'000'000);
  EXPECT_GT(summary.file_bytes, 45'000);
  EXPECT_GT(summary.used_bytes, 45'000);
  EXPECT_LE(summary.used_bytes, summary.file_bytes);
  ASSERT_THAT(summary.groups, SizeIs(1));
  EXPECT_EQ(summary.groups[0].group, "reader");
  EXPECT_EQ(summary.groups[0].lag, 3);
}

TEST_F(InspectTest, ANamedFileIsInspectedFromAnOffsetOn) {
  {
    auto log = EmbeddedLog::open({.file = dir_ / "outbox"}, clock_).value();
    for (const char* key : {"a", "b", "c"}) {
      clock_.advance_us(1'000'000);
      ASSERT_TRUE(append_and_wait(*log, {{key, "v", {}}}).is_ok());
    }
    ASSERT_TRUE(log->consumer("g").value()->commit({{0, 1}}).is_ok());
  }
  LogInspector outbox = LogInspector::open_file(dir_ / "outbox").value();
  EXPECT_EQ(outbox.summary()->groups.at(0).next, 1);
  std::vector<std::string> keys;
  EXPECT_TRUE(outbox.from(1, keys_into(keys)).is_ok());
  EXPECT_THAT(keys, ElementsAre("b", "c"));
  EXPECT_EQ(outbox.appended_at_us(1).value(), kStartUs + 2'000'000);
  EXPECT_EQ(outbox.appended_at_us(3).value(), std::nullopt);
}

TEST_F(InspectTest, AnEmptyLogIsWhole) {
  write(0);
  EXPECT_EQ(inspector().summary()->end, 0);
  EXPECT_TRUE(inspector().check(all_good)->whole());
  std::vector<std::string> keys;
  EXPECT_TRUE(inspector().tail(10, keys_into(keys)).is_ok());
  EXPECT_TRUE(inspector().head(10, keys_into(keys)).is_ok());
  EXPECT_THAT(keys, IsEmpty());
}

TEST_F(InspectTest, HeadAndTailGiveAsManyAsAskedInOrder) {
  write(5);
  std::vector<std::string> head;
  ASSERT_TRUE(inspector().head(2, keys_into(head)).is_ok());
  EXPECT_THAT(head, ElementsAre("0", "1"));
  std::vector<std::string> tail;
  ASSERT_TRUE(inspector().tail(2, keys_into(tail)).is_ok());
  EXPECT_THAT(tail, ElementsAre("3", "4"));
}

TEST_F(InspectTest, WhoeverShowsRecordsForEverHoldsUpNoWriter) {
  write(3);
  auto log = EmbeddedLog::open({.dir = dir_.path()}, clock_).value();
  auto other = sqlite::Database::open(file(), {.wal = true, .busy_timeout_ms = 1}).value();
  std::vector<std::string> keys;
  const Status shown = inspector().head(1'000, [&](const StoredRecord& record) {
    keys.emplace_back(record.key);
    EXPECT_TRUE(append_and_wait(*log, {{"later", std::string(9'000, 'l'), {}}}).is_ok());
    // 0: nobody reads what is in the write-ahead log, so it begins anew.
    EXPECT_EQ(other.query_int("PRAGMA wal_checkpoint(RESTART)").value(), 0);
    return true;
  });
  EXPECT_TRUE(shown.is_ok()) << shown.to_string();
  EXPECT_THAT(keys, ElementsAre("0", "1", "2"));
}

TEST_F(InspectTest, ACheckMakesNoWriterRefuseWhatComes) {
  auto log = EmbeddedLog::open({.dir = dir_.path()}, clock_).value();
  ASSERT_TRUE(append_and_wait(*log, {{"first", "v", {}}}).is_ok());
  auto other = sqlite::Database::open(file(), {.read_only = true}).value();
  auto read = other.prepare("SELECT offset FROM records").value();
  ASSERT_TRUE(read.step().value());  // so that the write-ahead log grows
  for (int64_t bytes = 0; bytes < kWalBytesMax / 2; bytes += 1 << 20) {
    ASSERT_TRUE(append_and_wait(*log, {{"k", std::string(1 << 20, 'l'), {}}}).is_ok());
  }
  const auto any = [](std::string_view) { return Status::ok(); };
  const CheckReport unchecked = inspector().check(any).value();
  EXPECT_TRUE(unchecked.whole());
  EXPECT_EQ(unchecked.good, 1 + kWalBytesMax / (2 << 20));
  EXPECT_THAT(unchecked.file_unchecked, HasSubstr("events come too fast"));
  read.reset();
  for (int i = 0; i < 2; ++i) {  // into the file, and the write-ahead log begins anew
    ASSERT_TRUE(append_and_wait(*log, {{"k", std::string(1 << 20, 'l'), {}}}).is_ok());
  }
  EXPECT_THAT(inspector().check(any).value().file_unchecked, IsEmpty());
}

TEST_F(InspectTest, MoreThanIsReadAtOnceIsShownInOrderAndOnce) {
  constexpr int kCount = 1'200;
  {
    auto log = EmbeddedLog::open({.dir = dir_.path(), .groups = {"reader"}}, clock_).value();
    std::vector<NewRecord> batch;
    for (int i = 0; i < kCount; ++i) batch.push_back({std::to_string(i), "v", {}});
    ASSERT_TRUE(append_and_wait(*log, std::move(batch)).is_ok());
  }
  std::vector<std::string> wanted, keys;
  for (int i = 0; i < kCount; ++i) wanted.push_back(std::to_string(i));
  ASSERT_TRUE(inspector().from(0, keys_into(keys)).is_ok());
  EXPECT_EQ(keys, wanted);
  keys.clear();
  ASSERT_TRUE(inspector().tail(kCount - 1, keys_into(keys)).is_ok());
  EXPECT_EQ(keys, std::vector<std::string>(wanted.begin() + 1, wanted.end()));
}

TEST_F(InspectTest, ARecordWithABadValueIsReportedWithItsOffset) {
  write(5);
  const CheckReport report =
      inspector()
          .check([](std::string_view value) {
            return value.starts_with("3;") ? Status(Code::kCorruption, "no 3") : Status::ok();
          })
          .value();
  EXPECT_EQ(report.good, 4);
  ASSERT_THAT(report.damages, SizeIs(1));
  EXPECT_EQ(report.damages[0].first, 3);
  EXPECT_EQ(report.damages[0].reason, "no 3");
  EXPECT_FALSE(report.whole());
}

TEST_F(InspectTest, ADestroyedPageCostsItsRecordAndItsNeighboursAreShown) {
  write(50);
  damage_pages_with("25;vvv");
  const CheckReport report = inspector().check(all_good).value();
  EXPECT_FALSE(report.whole());
  ASSERT_THAT(report.damages, SizeIs(1));
  EXPECT_LE(report.damages[0].first, 25);
  EXPECT_GE(report.damages[0].last, 25);
  EXPECT_EQ(report.good, 50 - (report.damages[0].last - report.damages[0].first + 1));
  EXPECT_GE(report.good, 50 - 15);  // a leaf holds the beginnings of at most 15 records
  std::vector<std::string> tail;
  ASSERT_TRUE(inspector().tail(2, keys_into(tail)).is_ok());
  EXPECT_THAT(tail, ElementsAre("48", "49"));
}

// As a damaged page can have it: the last record has an offset out of this world, and its value is
// behind the end of the file.
TEST_F(InspectTest, AnEndThatCannotBeTrueIsNotWalkedTo) {
  write(5);
  constexpr int64_t kFar = int64_t{1} << 50;
  {
    auto db = sqlite::Database::open(file(), {}).value();
    ASSERT_TRUE(db.exec(fmt::format("UPDATE records SET offset={} WHERE offset=4; VACUUM;"
                                    "PRAGMA wal_checkpoint(TRUNCATE)",
                                    kFar))
                    .is_ok());
  }
  std::filesystem::resize_file(file(), std::filesystem::file_size(file()) - kPageBytes);
  std::vector<std::string> keys;
  int64_t last = 0;
  ASSERT_TRUE(inspector()
                  .from(0,
                        [&](const StoredRecord& record) {
                          keys.push_back(record.damage.empty() ? std::string(record.key)
                                                               : record.damage);
                          last = record.offset;
                          return true;
                        })
                  .is_ok());
  EXPECT_THAT(keys, ElementsAre("0", "1", "2", "3", HasSubstr("offsets 4 to"), HasSubstr(file())));
  EXPECT_EQ(last, kFar);
}

// The same, of the last offsets that there can be: they are not counted beyond.
TEST_F(InspectTest, BehindTheLastOffsetThereCanBeNothingIsRead) {
  write(5);
  {
    auto db = sqlite::Database::open(file(), {}).value();
    ASSERT_TRUE(db.exec("UPDATE records SET offset=9223372036854775807 WHERE offset=4;"
                        "UPDATE records SET offset=9223372036854775806 WHERE offset=3;"
                        "PRAGMA wal_checkpoint(TRUNCATE)")
                    .is_ok());
  }
  const CheckReport report = inspector().check(all_good).value();
  EXPECT_EQ(report.good, 4);
  EXPECT_FALSE(report.whole());
}

TEST_F(InspectTest, BehindMoreDamageThanIsLookedAtOneByOneReadingGoesOn) {
  write(0);
  constexpr int64_t kEnd = 112'000;
  {
    auto db = sqlite::Database::open(file(), {}).value();
    ASSERT_TRUE(
        db.exec(fmt::format("WITH RECURSIVE n(i) AS"
                            " (SELECT 0 UNION ALL SELECT i+1 FROM n WHERE i<{})"
                            "INSERT INTO records SELECT i, 1, CAST(i AS BLOB), NULL, CAST("
                            " iif(i BETWEEN 2000 AND 110000, 'lost', 'kept') AS BLOB) FROM n;"
                            "PRAGMA wal_checkpoint(TRUNCATE)",
                            kEnd - 1))
            .is_ok());
  }
  damage_pages_with("lost");
  int64_t first_good = -1;
  int64_t told = 0;
  std::string last_key;
  ASSERT_TRUE(inspector()
                  .from(2000,
                        [&](const StoredRecord& record) {
                          if (!record.damage.empty()) {
                            ++told;
                          } else if (first_good < 0) {
                            first_good = record.offset;
                          }
                          last_key = record.key;
                          return true;
                        })
                  .is_ok());
  EXPECT_EQ(told, RecordReader::kDamageRunMax + 1);  // and one for the rest
  EXPECT_GT(first_good, 110'000);
  EXPECT_LT(first_good, kEnd - 1000);
  EXPECT_EQ(last_key, std::to_string(kEnd - 1));
}

TEST_F(InspectTest, AFileCutShortGivesWhatIsStillThere) {
  write(50);
  std::filesystem::resize_file(file(), kPageBytes * 40);
  const Result<CheckReport> report = inspector().check(all_good);
  ASSERT_TRUE(report) << report.status().to_string();
  EXPECT_FALSE(report->whole());
  EXPECT_GT(report->good, 10);
  std::vector<std::string> head;
  EXPECT_TRUE(inspector().head(3, keys_into(head)).is_ok());
  EXPECT_THAT(head, ElementsAre("0", "1", "2"));
}

TEST_F(InspectTest, AnotherFileInItsPlaceIsNamed) {
  std::ofstream(file()) << std::string(20'000, 'x');
  const Status status = LogInspector::open(dir_.path(), "gpu-metadata").status();
  EXPECT_EQ(status.code(), Code::kCorruption);
  EXPECT_THAT(status.message(), HasSubstr(file()));
  EXPECT_EQ(LogInspector::open(dir_.path(), "other").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ca4::log
