#include "worker/archiver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/fake_ports.h"
#include "worker/test_support.h"

namespace ca4::worker {
namespace {

using ::testing::ElementsAre;

class ArchiverTest : public ::testing::Test {
 protected:
  ArchiverTest() {
    options_.poll_wait_ms_max = 20;
    options_.linger_ms = 10;
    options_.backoff = {.min_ms = 1, .max_ms = 4};
  }

  void accept(const std::string& id, uint64_t version) {
    ASSERT_TRUE(log::append_and_wait(source_, {make_record(id, version)}));
  }
  bool all_committed() { return source_.committed(kArchiverGroup) == source_.end(); }
  void drain() {
    Archiver archiver(source_, archive_, clock_, registry_, options_);
    Running running(archiver);
    EXPECT_TRUE(eventually([&] { return all_committed(); }));
  }

  const std::string kPollFails = "ca4_step_failing{group=\"ca4-archiver\",step=\"poll\"}";
  FakeLog source_{"gpu-metadata"};
  FakeArchive archive_;
  ManualClock clock_{1'700'000'002'000'000};
  prometheus::Registry registry_;
  ArchiverOptions options_;
};

TEST_F(ArchiverTest, HoldsRecordsUntilTheLingerIsOver) {
  options_.linger_ms = 2'000;
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  accept("a", 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  accept("b", 2);
  EXPECT_EQ(archive_.puts, 0);
  ASSERT_TRUE(eventually([&] { return source_.committed(kArchiverGroup) == 2; }));
  running.stop();  // the batch is counted after its commit
  EXPECT_TRUE(
      has_metric(registry_, "ca4_batch_records_count{group=\"ca4-archiver\"} 1"));  // one batch
}

// A partition that goes and comes back within the linger begins again at what is committed.
TEST_F(ArchiverTest, WhatComesAgainAfterPartitionsMovedIsInAnObjectOfItsOwn) {
  options_.linger_ms = 1'000;
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  accept("a", 1);
  ASSERT_TRUE(eventually([&] { return source_.given == 1; }));
  ++source_.deals;
  accept("b", 2);
  ASSERT_TRUE(eventually([&] { return all_committed(); }));
  running.stop();
  std::vector<std::string> parts;
  for (const auto& [key, body] : archive_.all()) {
    if (key.ends_with(".ndjson.zst")) parts.push_back(key.substr(key.rfind("/p0-")));
  }
  EXPECT_THAT(parts,
              ElementsAre(testing::StartsWith("/p0-00000000000000000000-00000000000000000000-"),
                          testing::StartsWith("/p0-00000000000000000000-00000000000000000001-")));
}

TEST_F(ArchiverTest, OffsetsOfATopicThatWasMadeAnewAreNotCommittedBeforeTheirRecordsAreHandled) {
  options_.linger_ms = 3'600'000;
  options_.backoff = {.min_ms = 60'000, .max_ms = 60'000};
  std::atomic<bool> away = false;
  archive_.on_put = [&] { return away ? Status(Code::kUnavailable, "away") : Status::ok(); };
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  accept("a", 1);
  ASSERT_TRUE(eventually([&] { return source_.given == 1; }));
  source_.begin_anew();
  accept("b", 2);
  ASSERT_TRUE(eventually([&] { return archive_.all().size() == 2; }));  // of the old one
  away = true;
  running.stop();
  EXPECT_EQ(source_.committed(kArchiverGroup), 0);
}

TEST_F(ArchiverTest, ALogThatFailsHoldsUpNothingThatIsInHand) {
  options_.linger_ms = 50;
  std::atomic<bool> fails = false;
  source_.on_poll = [&] { return fails ? Status(Code::kUnavailable, "damaged") : Status::ok(); };
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  accept("a", 1);
  ASSERT_TRUE(eventually([&] { return source_.given == 1; }));
  fails = true;
  EXPECT_TRUE(eventually([&] { return all_committed(); }));
  EXPECT_TRUE(eventually([&] { return has_metric(registry_, kPollFails + " 1"); }));
  fails = false;
  EXPECT_TRUE(eventually([&] { return has_metric(registry_, kPollFails + " 0"); }));
  accept("b", 2);
  EXPECT_TRUE(eventually([&] { return all_committed(); }));
}

TEST_F(ArchiverTest, AFullBatchDoesNotWaitForTheLinger) {
  options_.linger_ms = 3'600'000;
  options_.records_max = 4;
  for (uint64_t i = 0; i < 8; ++i) accept("id-" + std::to_string(i), i + 1);
  drain();
  EXPECT_TRUE(has_metric(registry_, "ca4_batch_records_count{group=\"ca4-archiver\"} 2"));
}

TEST_F(ArchiverTest, ABatchIsFullByBytesToo) {
  options_.linger_ms = 3'600'000;
  options_.bytes_max = 1;
  for (uint64_t i = 0; i < 3; ++i) accept("id-" + std::to_string(i), i + 1);
  drain();
  EXPECT_TRUE(has_metric(registry_, "ca4_batch_records_count{group=\"ca4-archiver\"} 3"));
}

TEST_F(ArchiverTest, StopWritesWhatIsHeldAndCommitsIt) {
  options_.linger_ms = 3'600'000;
  options_.poll_wait_ms_max = 3'600'000;
  accept("a", 1);
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  ASSERT_TRUE(eventually([&] { return source_.given == 1; }));
  EXPECT_EQ(archive_.puts, 0);
  EXPECT_LT(running.stop().count(), 5'000);
  EXPECT_FALSE(archive_.all().empty());
  EXPECT_EQ(source_.committed(kArchiverGroup), 1);
}

TEST_F(ArchiverTest, StopWithAnArchiveAwayIsPromptAndCommitsNothing) {
  options_.backoff = {.min_ms = 60'000, .max_ms = 60'000};
  archive_.on_put = [] { return Status(Code::kUnavailable, "away"); };
  accept("a", 1);
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  ASSERT_TRUE(eventually([&] { return archive_.puts == 1; }));
  EXPECT_LT(running.stop().count(), 5'000);
  EXPECT_EQ(source_.committed(kArchiverGroup), 0);
}

TEST_F(ArchiverTest, AnArchiveThatIsAwayIsWaitedFor) {
  for (const Code code : {Code::kOverloaded, Code::kIo, Code::kUnavailable}) {
    std::atomic<int> failures = 3;
    archive_.on_put = [&] { return failures-- > 0 ? Status(code, "away") : Status::ok(); };
    accept("a", 1);
    drain();
    EXPECT_LT(failures, 0);
  }
}

TEST_F(ArchiverTest, ARedeliveredBatchOverwritesItself) {
  for (uint64_t i = 0; i < 5; ++i) accept("id-" + std::to_string(i), i + 1);
  {
    Archiver* killed = nullptr;
    source_.on_commit = [&] {
      killed->stop();
      return Status(Code::kUnavailable, "killed");
    };
    Archiver archiver(source_, archive_, clock_, registry_, options_);
    killed = &archiver;
    Running running(archiver);
    running.wait();
  }
  ASSERT_EQ(source_.committed(kArchiverGroup), 0);
  const auto before = archive_.all();
  ASSERT_FALSE(before.empty());
  source_.on_commit = nullptr;
  drain();
  EXPECT_EQ(archive_.all(), before);
}

TEST_F(ArchiverTest, AnObjectThatFailsLeavesTheWholeBatchUncommitted) {
  std::atomic<int> puts = 0;
  options_.backoff = {.min_ms = 60'000, .max_ms = 60'000};
  archive_.on_put = [&] { return ++puts > 1 ? Status(Code::kIo, "disk full") : Status::ok(); };
  accept("a", 1);  // two objects: the documents and their matrix
  Archiver archiver(source_, archive_, clock_, registry_, options_);
  Running running(archiver);
  ASSERT_TRUE(eventually([&] { return puts == 2; }));
  running.stop();
  EXPECT_EQ(source_.committed(kArchiverGroup), 0);
}

TEST_F(ArchiverTest, RecordsThatCanNotBeTransformedAreSkippedWithoutTheirNeighbours) {
  ASSERT_TRUE(log::append_and_wait(source_, {{"key", "broken", {}}, make_record("a", 1)}));
  drain();
  EXPECT_FALSE(archive_.all().empty());
  EXPECT_TRUE(has_metric(registry_, "ca4_archive_skipped_records_total 1"));
}

TEST_F(ArchiverTest, ABatchOfNothingButBadRecordsIsCommittedWithoutAnObject) {
  ASSERT_TRUE(log::append_and_wait(source_, {{"key", "broken", {}}}));
  drain();
  EXPECT_TRUE(archive_.all().empty());
}

}  // namespace
}  // namespace ca4::worker
