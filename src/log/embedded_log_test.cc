#include "log/embedded_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "base/sqlite.h"
#include "base/test_dir.h"
#include "log/event_log_conformance.h"
#include "log/log_files.h"

namespace ca4::log {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

constexpr int64_t kHourUs = 3'600'000'000;

std::unique_ptr<EmbeddedLog> open_or_fail(EmbeddedLogOptions options, const Clock& clock) {
  Result<std::unique_ptr<EmbeddedLog>> log = EmbeddedLog::open(std::move(options), clock);
  EXPECT_TRUE(log.is_ok()) << log.status().to_string();
  return log ? std::move(*log) : nullptr;
}

class EmbeddedUnderTest final : public LogUnderTest {
 public:
  std::unique_ptr<EventLog> open() override { return open_or_fail({.dir = dir_.path()}, clock_); }
  std::unique_ptr<EventLog> open_bounded(size_t bytes) override {
    return open_or_fail({.dir = dir_.path() + "/bounded",
                         .bytes_max = static_cast<int64_t>(bytes),
                         .retention_interval_ms = 20},
                        clock_);
  }
  bool durable() const override { return true; }

 private:
  TempDir dir_;
  SystemClock clock_;
};

INSTANTIATE_TEST_SUITE_P(Embedded, EventLogConformance,
                         testing::Values(+[]() -> std::unique_ptr<LogUnderTest> {
                           return std::make_unique<EmbeddedUnderTest>();
                         }),
                         [](const auto&) { return "log"; });

TEST(EmbeddedLogQueue, ARecordLargerThanItIsKnownBeforeItIsTried) {
  const TempDir dir;
  const SystemClock clock;
  const auto log = open_or_fail({.dir = dir.path(), .queue_bytes_max = 1'000}, clock);
  const NewRecord large{"k", std::string(990, 'x'), {{"header", "1234"}}};
  EXPECT_EQ(log->admits(large).code(), Code::kTooLarge);
  EXPECT_THAT(log->admits(large).message(), HasSubstr("log.queue_bytes_max"));
  EXPECT_EQ(append_and_wait(*log, {large}).status().code(), Code::kTooLarge);
  const NewRecord fits{"k", std::string(989, 'x'), {{"header", "1234"}}};
  EXPECT_TRUE(log->admits(fits).is_ok());
  EXPECT_TRUE(append_and_wait(*log, {fits}).is_ok());
}

class EmbeddedLogTest : public testing::Test {
 protected:
  EmbeddedLogOptions options() const { return {.dir = dir_.path(), .retention_interval_ms = 5}; }

  // Values a fresh consumer of `group` finds, without committing.
  static std::vector<std::string> all_values(EventLog& log, const std::string& group = "reader") {
    return values_of(poll_all(*log.consumer(group).value()));
  }

  // Waits for retention's thread.
  static bool eventually(const std::function<bool()>& holds) {
    for (int i = 0; i < 500; ++i) {
      if (holds()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  static void commit_up_to(EventLog& log, const std::string& group, int64_t next) {
    EXPECT_TRUE(log.consumer(group).value()->commit({{0, next}}).is_ok());
  }

  static int64_t first_offset(EmbeddedLog& log) { return log.lag("nobody").value()[0].committed; }

  TempDir dir_;
  ManualClock clock_{1'700'000'000'000'000};
};

TEST_F(EmbeddedLogTest, TopicThatIsNoFileNameIsRefused) {
  for (const char* topic : {"", "../x", "a/b", ".hidden", "a b"}) {
    EXPECT_EQ(EmbeddedLog::open({.dir = dir_.path(), .topic = topic}, clock_).status().code(),
              Code::kInvalidArgument)
        << topic;
  }
}

TEST_F(EmbeddedLogTest, SecondWriterIsRefusedAndToldWhichFile) {
  auto log = open_or_fail(options(), clock_);
  const Status second = EmbeddedLog::open(options(), clock_).status();
  EXPECT_EQ(second.code(), Code::kUnavailable);
  EXPECT_THAT(second.message(), HasSubstr(dir_.path() + "/gpu-metadata.lock"));
  log.reset();
  EXPECT_TRUE(EmbeddedLog::open(options(), clock_).is_ok());
}

TEST_F(EmbeddedLogTest, WhoOnlyAsksWhetherALogIsHeldKeepsNoWriterOut) {
  open_or_fail(options(), clock_).reset();
  const std::string lock = dir_.path() + "/gpu-metadata.lock";
  EXPECT_FALSE(FileLock::is_held(lock));
  const int asking = ::open(lock.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(::flock(asking, LOCK_SH | LOCK_NB), 0);
  std::thread asked([asking] { ::close(asking); });
  const auto log = open_or_fail(options(), clock_);
  asked.join();
  EXPECT_TRUE(FileLock::is_held(lock));
}

TEST_F(EmbeddedLogTest, TwoTopicsOfOneFolderAreTwoLogs) {
  auto events = open_or_fail(options(), clock_);
  auto dead = open_or_fail({.dir = dir_.path(), .topic = "gpu-metadata.dlq"}, clock_);
  append_values(*events, {"a"});
  append_values(*dead, {"b"});
  EXPECT_THAT(all_values(*events), ElementsAre("a"));
  EXPECT_THAT(all_values(*dead), ElementsAre("b"));
}

TEST_F(EmbeddedLogTest, ALogInANamedFileIsThereExactlyAndWhatBelongsToItBesideIt) {
  EmbeddedLogOptions named = options();
  named.dir = dir_ / "unused";
  named.file = dir_ / "a/b/outbox.data";
  auto log = open_or_fail(named, clock_);
  append_values(*log, {"a"});
  commit_up_to(*log, "g", 1);
  EXPECT_EQ(EmbeddedLog::open(named, clock_).status().code(), Code::kUnavailable);
  log.reset();
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_.path())) {
    if (entry.is_regular_file()) files.push_back(entry.path().lexically_relative(dir_.path()));
  }
  EXPECT_THAT(files, testing::UnorderedElementsAre("a/b/outbox.data", "a/b/outbox.data-offsets",
                                                   "a/b/outbox.data-lock"));
  log = open_or_fail(named, clock_);
  EXPECT_EQ(log->lag("g").value()[0].committed, 1);
}

TEST_F(EmbeddedLogTest, AFileOfNoBytesIsNoLogYet) {
  EmbeddedLogOptions named = options();
  named.file = dir_ / "made-by-touch";
  std::ofstream(named.file).flush();
  EXPECT_THAT(append_values(*open_or_fail(named, clock_), {"a"}), ElementsAre(0));
}

TEST_F(EmbeddedLogTest, AFileThatIsAlmostEmptyGivesItsSpaceBackAndGoesOn) {
  EmbeddedLogOptions small = options();
  small.retention_bytes = 1;
  auto log = open_or_fail(small, clock_);
  const std::string value(1U << 20, 'x');
  append_values(*log, std::vector<std::string>(20, value));
  append_values(*log, {"last"});
  const std::string file = dir_ / "gpu-metadata.db";
  EXPECT_GT(std::filesystem::file_size(file), 10U << 20);
  auto reader = log->consumer("g").value();
  ASSERT_THAT(poll_records(*reader, 21), SizeIs(21));
  ASSERT_TRUE(reader->commit({{0, 21}}).is_ok());
  ASSERT_TRUE(eventually([&] { return std::filesystem::file_size(file) < 1U << 20; }));
  EXPECT_THAT(append_values(*log, {"after"}), ElementsAre(21));
  EXPECT_THAT(values_of(poll_records(*reader, 1)), ElementsAre("after"));
  log.reset();
  EXPECT_EQ(all_values(*open_or_fail(options(), clock_)).back(), "after");
}

TEST_F(EmbeddedLogTest, RecordsCarryTheClocksTime) {
  auto log = open_or_fail(options(), clock_);
  append_values(*log, {"a"});
  EXPECT_EQ(log->newest().value().at(0).appended_at_us, clock_.now_us());
}

TEST_F(EmbeddedLogTest, ReaderWithoutAWriterReadsCommitsAndDoesNotAppend) {
  append_values(*open_or_fail(options(), clock_), {"a", "b"});
  EmbeddedLogOptions reading = options();
  reading.mode = EmbeddedLogOptions::Mode::kReader;
  auto reader = open_or_fail(reading, clock_);
  EXPECT_THAT(all_values(*reader, "g"), ElementsAre("a", "b"));
  commit_up_to(*reader, "g", 1);
  EXPECT_EQ(reader->lag("g").value()[0].lag(), 1);
  EXPECT_EQ(append_and_wait(*reader, {{"k", "v", {}}}).status().code(), Code::kInvalidArgument);
}

TEST_F(EmbeddedLogTest, AScanOfNoLogYetSeesAllOfTheLogThatAppears) {
  EmbeddedLogOptions reading = options();
  reading.mode = EmbeddedLogOptions::Mode::kReader;
  auto reader = open_or_fail(reading, clock_);
  auto scan = reader->scan(From::kEnd).value();
  auto writer = open_or_fail(options(), clock_);
  append_values(*writer, {"a"});
  EXPECT_THAT(values_of(poll_records(*scan, 1)), ElementsAre("a"));
}

TEST_F(EmbeddedLogTest, ReaderThatCameBeforeTheLogSeesItAppear) {
  EmbeddedLogOptions reading = options();
  reading.mode = EmbeddedLogOptions::Mode::kReader;
  auto reader = open_or_fail(reading, clock_);
  auto consumer = reader->consumer("g").value();
  EXPECT_THAT(poll_all(*consumer), SizeIs(0));
  EXPECT_EQ(reader->lag("g").value()[0].lag(), 0);
  auto writer = open_or_fail(options(), clock_);
  append_values(*writer, {"a"});
  EXPECT_THAT(values_of(poll_records(*consumer, 1)), ElementsAre("a"));
  EXPECT_EQ(reader->lag("g").value()[0].lag(), 1);
}

TEST_F(EmbeddedLogTest, ALogInThePlaceOfTheOneThatIsReadIsToldAndNoSilence) {
  auto writer = open_or_fail(options(), clock_);
  append_values(*writer, {"a", "b"});
  EmbeddedLogOptions reading = options();
  reading.mode = EmbeddedLogOptions::Mode::kReader;
  auto reader = open_or_fail(reading, clock_);
  auto consumer = reader->consumer("g").value();
  EXPECT_THAT(values_of(consumer->poll({.records_max = 1}).value()), ElementsAre("a"));
  EXPECT_EQ(reader->lag("g").value()[0].lag(), 2);
  writer.reset();
  std::filesystem::create_directory(dir_.path() + "/away");
  for (const char* name : {"gpu-metadata.db", "gpu-metadata.offsets.db"}) {
    std::filesystem::rename(dir_.path() + "/" + name, dir_.path() + "/away/" + name);
  }
  EXPECT_THAT(values_of(consumer->poll({}).value()), ElementsAre("b"));
  EXPECT_TRUE(consumer->poll({.wait_ms_max = 0}).is_ok());
  writer = open_or_fail(options(), clock_);
  append_values(*writer, {"c"});
  const Status polled = consumer->poll({.wait_ms_max = 0}).status();
  EXPECT_EQ(polled.code(), Code::kIo);
  EXPECT_THAT(polled.message(), HasSubstr("start this process again"));
  EXPECT_EQ(reader->lag("g").status().code(), Code::kIo);
  EXPECT_THAT(all_values(*open_or_fail(reading, clock_), "g"), ElementsAre("c"));
}

TEST_F(EmbeddedLogTest, RetentionByAgeKeepsWhatAGroupHasNotCommittedAndTheNewest) {
  EmbeddedLogOptions aged = options();
  aged.retention_age_s = 3600;
  auto log = open_or_fail(aged, clock_);
  append_values(*log, {"a", "b", "c", "d"});
  commit_up_to(*log, "fast", 4);
  commit_up_to(*log, "slow", 2);
  clock_.advance_us(2 * kHourUs);
  ASSERT_TRUE(eventually([&] { return first_offset(*log) == 2; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(first_offset(*log), 2);
  commit_up_to(*log, "slow", 4);
  ASSERT_TRUE(eventually([&] { return first_offset(*log) == 3; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(log->newest().value().at(0).value, "d");
}

TEST_F(EmbeddedLogTest, OffsetsGoOnWhenRetentionLeftOnlyTheNewestRecord) {
  EmbeddedLogOptions aged = options();
  aged.retention_age_s = 3600;
  auto log = open_or_fail(aged, clock_);
  const std::vector<int64_t> before = append_values(*log, {"a", "b", "c"});
  commit_up_to(*log, "g", 3);
  clock_.advance_us(2 * kHourUs);
  ASSERT_TRUE(eventually([&] { return first_offset(*log) == 2; }));
  log.reset();
  log = open_or_fail(aged, clock_);
  EXPECT_THAT(append_values(*log, {"d"}), ElementsAre(before.back() + 1));
}

TEST_F(EmbeddedLogTest, YoungRecordsStay) {
  EmbeddedLogOptions aged = options();
  aged.retention_age_s = 3600;
  auto log = open_or_fail(aged, clock_);
  append_values(*log, {"a"});
  clock_.advance_us(kHourUs);
  append_values(*log, {"b", "c"});
  commit_up_to(*log, "g", 3);
  clock_.advance_us(kHourUs / 2);
  ASSERT_TRUE(eventually([&] { return first_offset(*log) == 1; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(first_offset(*log), 1);
}

TEST_F(EmbeddedLogTest, GroupNamedAtOpeningKeepsAllFromItsFirstRecordOn) {
  EmbeddedLogOptions aged = options();
  aged.retention_age_s = 3600;
  aged.groups = {"ca4-worker"};
  auto log = open_or_fail(aged, clock_);
  append_values(*log, {"a", "b"});
  clock_.advance_us(100 * kHourUs);
  append_values(*log, {"c"});
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_THAT(all_values(*log, "ca4-worker"), ElementsAre("a", "b", "c"));
}

TEST_F(EmbeddedLogTest, RetentionBySizeFreesTheOldestCommittedRecordsOnly) {
  EmbeddedLogOptions sized = options();
  sized.retention_bytes = 400'000;
  auto log = open_or_fail(sized, clock_);
  const std::string value(9'000, 'x');
  append_values(*log, std::vector<std::string>(100, value));
  EXPECT_GT(log->bytes_used(), 800'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  commit_up_to(*log, "g", 100);
  ASSERT_TRUE(eventually([&] { return log->bytes_used() <= sized.retention_bytes; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_GT(log->bytes_used(), 300'000);
  EXPECT_GT(first_offset(*log), 50);
}

TEST_F(EmbeddedLogTest, FullLogNamesItselfAndTheWayOut) {
  EmbeddedLogOptions small = options();
  small.bytes_max = 200'000;
  small.groups = {"g"};
  auto log = open_or_fail(small, clock_);
  Status refusal;
  for (int i = 0; i < 100 && refusal.is_ok(); ++i) {
    refusal = append_and_wait(*log, {{"k", std::string(9'000, 'x'), {}}}).status();
  }
  EXPECT_EQ(refusal.code(), Code::kOverloaded);
  EXPECT_THAT(refusal.message(), HasSubstr("log is full"));
  EXPECT_THAT(refusal.message(), HasSubstr("log.bytes_max"));
  EXPECT_LE(log->bytes_used(), small.bytes_max + 20'000);
}

TEST_F(EmbeddedLogTest, AFullLogInANamedFileNamesThatFile) {
  EmbeddedLogOptions named = options();
  named.dir.clear();
  named.file = dir_ / "outbox.data";
  named.bytes_max = 10'000;
  const auto log = open_or_fail(named, clock_);
  const Status refusal = append_and_wait(*log, {{"k", std::string(9'000, 'x'), {}}}).status();
  EXPECT_EQ(refusal.code(), Code::kOverloaded);
  EXPECT_THAT(refusal.message(), HasSubstr("log is full: " + named.file + " holds"));
}

TEST_F(EmbeddedLogTest, FullLogThatKeepsAllStaysFullAlsoWhenAllIsCommitted) {
  EmbeddedLogOptions keeping = options();
  keeping.bytes_max = 200'000;
  keeping.retention_when_full = false;
  keeping.retention_age_s = 0;
  auto log = open_or_fail(keeping, clock_);
  int64_t kept = 0;
  Status refusal;
  for (; refusal.is_ok(); ++kept) {
    refusal = append_and_wait(*log, {{"k", std::string(9'000, 'x'), {}}}).status();
  }
  commit_up_to(*log, "g", kept - 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(append_and_wait(*log, {{"k", std::string(9'000, 'x'), {}}}).status().code(),
            Code::kOverloaded);
  EXPECT_EQ(first_offset(*log), 0);
  EXPECT_THAT(refusal.message(), HasSubstr("move this log's files away"));
}

TEST_F(EmbeddedLogTest, AppendOverTheQueueBoundIsRefusedAtOnceAndTheRestKept) {
  EmbeddedLogOptions narrow = options();
  narrow.queue_bytes_max = 100'000;
  auto log = open_or_fail(narrow, clock_);
  EXPECT_EQ(append_and_wait(*log, {{"k", std::string(200'000, 'x'), {}}}).status().code(),
            Code::kTooLarge);
  std::atomic<int> kept = 0;
  std::atomic<int> refused = 0;
  std::atomic<int> other = 0;
  const std::string value(9'000, 'x');
  for (int i = 0; i < 500; ++i) {
    log->append({{"k", value, {}}}, [&](Result<std::vector<Position>> done) {
      if (done) {
        ++kept;
      } else if (done.status().code() == Code::kOverloaded) {
        ++refused;
      } else {
        ++other;
      }
    });
  }
  log->close();
  EXPECT_EQ(kept + refused, 500);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(other, 0);
  log.reset();
  EXPECT_THAT(all_values(*open_or_fail(options(), clock_)), SizeIs(static_cast<size_t>(kept)));
}

TEST_F(EmbeddedLogTest, FullDiskRefusesTheBatchWholeAndTheLogGoesOnWhenThereIsRoom) {
  EmbeddedLogOptions tight = options();
  tight.pages_max = 30;
  auto log = open_or_fail(tight, clock_);
  const std::string value(9'000, 'x');
  const size_t kept = append_values(*log, {value, "small"}).size();
  std::vector<NewRecord> too_much(40, NewRecord{"k", value, {}});
  const Status refusal = append_and_wait(*log, too_much).status();
  EXPECT_EQ(refusal.code(), Code::kIo) << refusal.to_string();
  EXPECT_THAT(refusal.message(), HasSubstr("gpu-metadata.db"));
  EXPECT_EQ(log->ready().code(), Code::kIo);
  EXPECT_THAT(append_values(*log, {"after"}), ElementsAre(static_cast<int64_t>(kept)));
  EXPECT_TRUE(log->ready().is_ok());
  EXPECT_THAT(all_values(*log), ElementsAre(value, "small", "after"));
}

TEST_F(EmbeddedLogTest, OffsetsOfALogThatLayHereBeforeDoNotSkipTheNewOnesRecords) {
  auto log = open_or_fail(options(), clock_);
  append_values(*log, {"a", "b"});
  commit_up_to(*log, "g", 2);
  log.reset();
  for (const char* suffix : {".db", ".db-wal", ".db-shm"}) {
    std::filesystem::remove(dir_.path() + "/gpu-metadata" + suffix);
  }
  log = open_or_fail(options(), clock_);
  append_values(*log, {"c", "d", "e"});
  EXPECT_EQ(log->lag("g").value()[0].lag(), 3);
  EXPECT_THAT(all_values(*log, "g"), ElementsAre("c", "d", "e"));
}

TEST_F(EmbeddedLogTest, ALogPutBackFromACopyIsReadAgainAndNothingNewIsSkippedOrDeleted) {
  EmbeddedLogOptions options = this->options();
  options.retention_bytes = 1;
  const std::string file = dir_.path() + "/gpu-metadata.db";
  auto log = open_or_fail(options, clock_);
  append_values(*log, {"a", "b"});
  log.reset();
  std::filesystem::copy_file(file, file + ".copy");
  log = open_or_fail(options, clock_);
  append_values(*log, {"c", "d"});
  commit_up_to(*log, "reader", 4);
  log.reset();

  std::filesystem::rename(file + ".copy", file);
  log = open_or_fail(options, clock_);
  append_values(*log, {"new 2", "new 3", "new 4"});
  EXPECT_EQ(log->lag("reader").value()[0].lag(), 5);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // retention looks
  EXPECT_THAT(all_values(*log), ElementsAre("a", "b", "new 2", "new 3", "new 4"));
}

TEST_F(EmbeddedLogTest, WhoReadALogCommitsNothingInTheCopyThatWasPutInItsPlace) {
  const std::string file = dir_.path() + "/gpu-metadata.db";
  auto writer = open_or_fail(options(), clock_);
  append_values(*writer, {"a", "b"});
  writer.reset();
  std::filesystem::copy_file(file, file + ".copy");
  writer = open_or_fail(options(), clock_);
  append_values(*writer, {"c", "d"});
  writer.reset();
  EmbeddedLogOptions reading = options();
  reading.mode = EmbeddedLogOptions::Mode::kReader;
  const auto reader = open_or_fail(reading, clock_);
  const auto consumer = reader->consumer("g").value();
  EXPECT_THAT(values_of(consumer->poll({}).value()), ElementsAre("a", "b", "c", "d"));

  std::filesystem::rename(file + ".copy", file);
  writer = open_or_fail(options(), clock_);
  append_values(*writer, {"new 2", "new 3", "new 4"});
  EXPECT_EQ(consumer->commit({{0, 4}}).code(), Code::kIo);
  EXPECT_THAT(all_values(*open_or_fail(reading, clock_), "g"),
              ElementsAre("a", "b", "new 2", "new 3", "new 4"));
}

TEST_F(EmbeddedLogTest, UnreadableRecordComesEmptyAndItsNeighboursAreWhole) {
  auto log = open_or_fail(options(), clock_);
  // Three overflow pages: the row's chain of them breaks when one is overwritten.
  const std::string value(30'000, 'x');
  append_values(*log, {"first", value, "last"});
  log.reset();
  const std::string path = dir_.path() + "/gpu-metadata.db";
  std::string file(std::filesystem::file_size(path), '\0');
  std::ifstream(path, std::ios::binary)
      .read(file.data(), static_cast<std::streamsize>(file.size()));
  const size_t overflow = file.find(std::string(8000, 'x')) / 8192 * 8192;
  std::fstream damaged(path, std::ios::binary | std::ios::in | std::ios::out);
  damaged.seekp(static_cast<std::streamoff>(overflow));
  damaged << std::string(64, '\xff');
  damaged.close();

  log = open_or_fail(options(), clock_);
  const std::vector<Record> records = poll_records(*log->consumer("g").value(), 3);
  ASSERT_THAT(values_of(records), ElementsAre("first", "", "last"));
  EXPECT_EQ(records[1].position.offset, 1);
}

TEST_F(EmbeddedLogTest, MissingRecordsComeAsDamagedNotAsNothing) {
  append_values(*open_or_fail(options(), clock_), {"a", "b", "c", "d", "e", "f"});
  {
    Result<sqlite::Database> file = sqlite::Database::open(dir_ / "gpu-metadata.db", {});
    ASSERT_TRUE(file->exec("DELETE FROM records WHERE offset IN (1, 3, 4)").is_ok());
  }
  auto log = open_or_fail(options(), clock_);
  auto consumer = log->consumer("g").value();
  const std::vector<Record> records = poll_records(*consumer, 6);
  EXPECT_THAT(values_of(records), ElementsAre("a", "", "c", "", "", "f"));
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].position.offset, static_cast<int64_t>(i));
  }
  // Also where reading begins in the hole.
  ASSERT_TRUE(consumer->commit({{0, 4}}).is_ok());
  EXPECT_THAT(values_of(poll_records(*log->consumer("g").value(), 2)), ElementsAre("", "f"));
}

TEST_F(EmbeddedLogTest, NothingIsAppendedToANewestPageWhoseOrderIsDamaged) {
  append_values(*open_or_fail(options(), clock_), {"a", "b", "c", "d", "e", "f"});
  const std::string path = dir_.path() + "/gpu-metadata.db";
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  // The table's first page, with all six rows; two of their pointers change places.
  constexpr std::streamoff kPointers = 8192 + 8;
  char pointers[4];
  file.seekg(kPointers);
  file.read(pointers, sizeof pointers);
  std::swap_ranges(pointers, pointers + 2, pointers + 2);
  file.seekp(kPointers);
  file.write(pointers, sizeof pointers);
  file.close();
  const Status status = EmbeddedLog::open(options(), clock_).status();
  EXPECT_EQ(status.code(), Code::kCorruption) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr("offset 1 stands in front of 0"));
  EXPECT_THAT(status.message(), HasSubstr(path));
}

// The table's root gets a key in the middle that is larger than all: it leads the next append
// there.
TEST_F(EmbeddedLogTest, NothingIsAppendedWhereADamagedPageAboveLeadsIt) {
  constexpr size_t kRecords = 120;  // keys of one byte
  append_values(*open_or_fail(options(), clock_),
                std::vector<std::string>(kRecords, std::string(9'000, 'v')));
  const std::string path = dir_.path() + "/gpu-metadata.db";
  constexpr std::streamoff kRoot = 8192;
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  std::string page(8192, '\0');
  file.seekg(kRoot);
  file.read(page.data(), static_cast<std::streamsize>(page.size()));
  const auto two_bytes = [&page](size_t at) {
    return static_cast<size_t>(static_cast<unsigned char>(page[at]) << 8U |
                               static_cast<unsigned char>(page[at + 1]));
  };
  ASSERT_EQ(page[0], 5) << "an inner page of a table";
  const size_t cells = two_bytes(3);
  ASSERT_GT(cells, 2U);
  // Page header, pointers; behind the four bytes of a child stands its last key.
  file.seekp(kRoot + static_cast<std::streamoff>(two_bytes(12 + cells / 2 * 2) + 4));
  file.put(127);
  file.close();
  const Status status = EmbeddedLog::open(options(), clock_).status();
  EXPECT_EQ(status.code(), Code::kCorruption) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr("stands in front of 120"));
}

TEST_F(EmbeddedLogTest, ForgottenGroupHoldsNothingUpAndGoesOnWhereItWas) {
  auto log = open_or_fail(options(), clock_);
  append_values(*log, {"a", "b", "c"});
  ASSERT_TRUE(log->consumer("g").value()->commit({{0, 2}}).is_ok());
  ASSERT_TRUE(log->forget("g").is_ok());
  EXPECT_TRUE(log->forget("never heard of").is_ok());
  EXPECT_THAT(values_of(poll_records(*log->consumer("g").value(), 1)), ElementsAre("c"));
}

TEST_F(EmbeddedLogTest, FileThatIsNoLogIsCorruption) {
  std::ofstream(dir_.path() + "/gpu-metadata.db") << std::string(100'000, 'z');
  const Status status = EmbeddedLog::open(options(), clock_).status();
  EXPECT_EQ(status.code(), Code::kCorruption) << status.to_string();
  EXPECT_THAT(status.message(), HasSubstr(dir_.path()));
}

TEST_F(EmbeddedLogTest, WriteAheadLogIsMovedIntoTheFileAndLeftEmptyAtClose) {
  auto log = open_or_fail(options(), clock_);
  const std::string wal = dir_.path() + "/gpu-metadata.db-wal";
  const std::string value(9'000, 'x');
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(append_and_wait(*log, std::vector<NewRecord>(100, {"k", value, {}})).is_ok());
  }
  EXPECT_LT(std::filesystem::file_size(wal), 3 * kCheckpointBytes);
  log.reset();
  EXPECT_FALSE(std::filesystem::exists(wal));
}

}  // namespace
}  // namespace ca4::log
