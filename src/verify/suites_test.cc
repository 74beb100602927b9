// The suites on ports in memory: what they say when something is wrong. On real ones: tests/.
#include "verify/suites.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "archive/memory_archive.h"
#include "base/clock.h"
#include "base/test_dir.h"
#include "log/memory_log.h"
#include "store/memory_store.h"
#include "verify/marker.h"

namespace ca4::verify {
namespace {

using testing::HasSubstr;

// A log that says of itself what a test wants.
class DescribedLog final : public log::EventLog {
 public:
  DescribedLog(std::shared_ptr<log::EventLog> inner, Result<log::Description> description)
      : inner_(std::move(inner)), description_(std::move(description)) {}

  void append(std::vector<log::NewRecord> batch, log::AppendDone done) override {
    inner_->append(std::move(batch), std::move(done));
  }
  Result<std::unique_ptr<log::Consumer>> consumer(const std::string& group) override {
    return inner_->consumer(group);
  }
  Result<std::unique_ptr<log::Consumer>> scan(log::From from) override {
    return inner_->scan(from);
  }
  Result<std::vector<log::Record>> newest() override { return inner_->newest(); }
  Result<std::vector<log::PartitionLag>> lag(const std::string& group) override {
    return inner_->lag(group);
  }
  Result<log::Description> describe() override { return description_; }
  Status ready() override { return inner_->ready(); }
  size_t queue_depth() const override { return 0; }
  void close() override {}
  const std::string& topic() const override { return inner_->topic(); }

 private:
  const std::shared_ptr<log::EventLog> inner_;
  const Result<log::Description> description_;
};

class SuitesTest : public testing::Test {
 protected:
  SuitesTest() {
    backends_.events = [this] { return Result<std::shared_ptr<log::EventLog>>(log_); };
    backends_.dead_letters = backends_.events;
    backends_.store = [this] { return Result<std::shared_ptr<store::DocumentStore>>(store_); };
    backends_.archive = [this] { return Result<std::shared_ptr<archive::Archive>>(archive_); };
    backends_.groups = {"ca4-worker", "ca4-archiver"};
  }

  void describe(Result<log::Description> description) {
    log_ = std::make_shared<DescribedLog>(memory_, std::move(description));
  }

  // The finding of a check, by its name.
  const Finding& of(const std::string& name) {
    for (const CheckResult& result : list_.results()) {
      if (result.name == name) return result.finding;
    }
    static const Finding missing = Finding::skip("there was no such check");
    return missing;
  }

  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const CheckResult& result : list_.results()) all.push_back(result.name);
    return all;
  }

  const SystemClock clock_;
  std::shared_ptr<log::EventLog> memory_ =
      std::make_shared<log::MemoryLog>(log::MemoryLogOptions{}, clock_);
  std::shared_ptr<log::EventLog> log_ = memory_;
  std::shared_ptr<store::MemoryStore> store_ = std::make_shared<store::MemoryStore>();
  std::shared_ptr<archive::MemoryArchive> archive_ = std::make_shared<archive::MemoryArchive>();
  Backends backends_;
  Checklist list_{[](const CheckResult&) {}, 1'000};
};

TEST_F(SuitesTest, AStoreThatWorksPassesAndKeepsNothing) {
  db(list_, backends_);
  EXPECT_TRUE(list_.all_passed());
  EXPECT_THAT(names(),
              testing::ElementsAre("answers", "indexes", "leftovers", "write", "read", "remove"));
  EXPECT_EQ(*store_->count({}), 0U);
}

TEST_F(SuitesTest, AStoreThatIsAwayIsNotAskedFurther) {
  backends_.store = []() -> Result<std::shared_ptr<store::DocumentStore>> {
    return Status(Code::kUnavailable, "mongodb: connection refused");
  };
  db(list_, backends_);
  EXPECT_FALSE(list_.all_passed());
  EXPECT_THAT(names(), testing::ElementsAre("answers"));
  EXPECT_EQ(of("answers").detail, "mongodb: connection refused");
  EXPECT_THAT(of("answers").fix, HasSubstr("does the database run"));
}

TEST_F(SuitesTest, AnArchiveThatWorksPassesAndKeepsNothing) {
  archive(list_, backends_);
  EXPECT_TRUE(list_.all_passed());
  EXPECT_THAT(names(), testing::ElementsAre("answers", "put", "get", "list", "remove"));
  EXPECT_TRUE(archive_->list("")->empty());
}

TEST_F(SuitesTest, AnArchiveThatIsSwitchedOffIsNoFailure) {
  backends_.archive = nullptr;
  archive(list_, backends_);
  EXPECT_TRUE(list_.all_passed());
  EXPECT_EQ(of("answers").outcome, Outcome::kSkip);
}

// Nobody listens on port 1.
PreflightOptions preflight_of(const std::string& dir, std::vector<Folder> folders = {}) {
  return {{"http://127.0.0.1:1", ""}, {"data", dir, "--data-dir"}, std::move(folders), "0"};
}

TEST_F(SuitesTest, APreflightLeavesNoFolderBehind) {
  const TempDir dir;
  preflight(list_, preflight_of(dir.path() + "/a/b"), backends_);
  EXPECT_EQ(of("data-dir").detail, dir.path() + "/a/b: not there yet, can be made");
  EXPECT_THAT(of("disk").detail, HasSubstr("GiB free"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST_F(SuitesTest, WhatIsOnAnotherDiskThanTheDataDirectoryIsCheckedThere) {
  const TempDir dir;
  const TempDir elsewhere("/dev/shm");
  std::filesystem::create_directory_symlink(elsewhere.path(), dir.path() + "/archive");
  preflight(list_,
            preflight_of(dir.path(), {{"log", dir.path() + "/log", "--data-dir"},
                                      {"archive", dir.path() + "/archive", "--data-dir"}}),
            backends_);
  EXPECT_EQ(of("archive-dir").outcome, Outcome::kPass);
  EXPECT_THAT(of("archive-disk").detail, HasSubstr("GiB free"));
  EXPECT_THAT(names(), testing::Not(testing::Contains(HasSubstr("log-d"))));
}

TEST_F(SuitesTest, AnOutboxOutsideOfTheDataDirectoryMustHaveAPlace) {
  const TempDir dir;
  const std::string file = dir.path() + "/file";
  std::ofstream(file) << "x";
  preflight(list_,
            preflight_of(dir.path() + "/data", {{"outbox", file + "/x", "--kafka-outbox-file"}}),
            backends_);
  EXPECT_EQ(of("outbox-dir").detail, file + "/x: Not a directory");
  EXPECT_THAT(of("outbox-dir").fix, HasSubstr("--kafka-outbox-file"));
}

TEST_F(SuitesTest, TheEmbeddedLogHasNoBrokersAndOneWriter) {
  kafka(list_, {"t", "t.dlq"}, backends_);
  EXPECT_TRUE(list_.all_passed());
  EXPECT_EQ(of("brokers").outcome, Outcome::kSkip);
  EXPECT_EQ(of("write-and-read").outcome, Outcome::kSkip);
  EXPECT_EQ(of("lag").detail, "records not worked on yet: ca4-worker 0, ca4-archiver 0");
}

TEST_F(SuitesTest, AMarkerGoesInAndOutOfABroker) {
  describe(log::Description{{"1 at kafka:9092"}, {{0, 1, 3, 3}, {1, 1, 3, 3}}});
  backends_.events_write = backends_.events;
  kafka(list_, {"t", "t.dlq"}, backends_);
  EXPECT_TRUE(list_.all_passed());
  EXPECT_EQ(of("brokers").detail, "1 at kafka:9092");
  EXPECT_EQ(of("topic").detail, "t: 2 partitions with 3 replicas, all in sync");
  EXPECT_THAT(of("write-and-read").detail, HasSubstr("offset 0; the log keeps it"));
  EXPECT_THAT(of("clean-up").detail, HasSubstr("no worker stored it"));
}

TEST_F(SuitesTest, AMissingTopicSaysHowToMakeIt) {
  describe(Status(Code::kNotFound, "topic t is not there"));
  kafka(list_, {"t", "t.dlq"}, backends_);
  EXPECT_EQ(of("brokers").outcome, Outcome::kPass);
  EXPECT_EQ(of("topic").detail, "topic t is not there");
  EXPECT_EQ(of("topic").fix, "make t with `ca4 topics ensure`");
  EXPECT_THAT(names(), testing::ElementsAre("brokers", "topic", "dead-letter-topic"));
}

TEST_F(SuitesTest, PartitionsWithoutALeaderOrWithLostReplicasFail) {
  describe(log::Description{{"1 at kafka:9092"}, {{0, 1, 3, 3}, {1, -1, 3, 2}}});
  kafka(list_, {"t", "t.dlq"}, backends_);
  EXPECT_EQ(of("topic").detail, "t: no leader for partitions 1");
  describe(log::Description{{"1 at kafka:9092"}, {{0, 1, 3, 2}}});
  Checklist second([](const CheckResult&) {}, 1'000);
  kafka(second, {"t", "t.dlq"}, backends_);
  EXPECT_EQ(second.results()[1].finding.detail, "t: replicas not in sync: partitions 0 (2 of 3)");
}

}  // namespace
}  // namespace ca4::verify
