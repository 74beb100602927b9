#include "worker/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "worker/dead_letters.h"
#include "worker/fake_ports.h"
#include "worker/test_support.h"

namespace ca4::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() {
    options_.poll_wait_ms_max = 20;
    options_.backoff = {.min_ms = 1, .max_ms = 4};
    options_.dead_letter_wait_ms_max = 1'000;
  }

  void accept(const std::string& id, uint64_t version, const std::string& more = "") {
    append({make_record(id, version, more)});
  }
  void append(std::vector<log::NewRecord> records) {
    ASSERT_TRUE(log::append_and_wait(source_, std::move(records)));
  }
  // Runs a worker of its own until everything in the log is committed.
  void drain() {
    Worker worker(source_, store_, dead_, clock_, registry_, options_);
    Running running(worker);
    EXPECT_TRUE(eventually([&] { return source_.committed(kWorkerGroup) == source_.end(); }));
  }
  DeadLetter letter(size_t offset) { return read_dead_letter(dead_.at(offset)); }

  FakeLog source_{"gpu-metadata"};
  FakeLog dead_{"gpu-metadata.dlq"};
  FakeStore store_;
  ManualClock clock_{1'700'000'002'000'000};
  prometheus::Registry registry_;
  WorkerOptions options_;
};

TEST_F(WorkerTest, StoresWhatWasAcceptedAndCommitsIt) {
  accept("a", 1);
  accept("b", 2);
  drain();
  const auto documents = store_.all();
  ASSERT_EQ(documents.size(), 2U);
  EXPECT_EQ(documents.at("b").offset, 1);
  EXPECT_EQ(documents.at("b").processed_at_us, clock_.now_us());
  EXPECT_EQ(dead_.end(), 0);
  EXPECT_TRUE(has_metric(registry_, "ca4_documents_total{result=\"inserted\"} 2"));
  EXPECT_TRUE(has_metric(registry_, "ca4_end_to_end_seconds_sum 4"));
}

TEST_F(WorkerTest, AProcessorsClockThatIsAheadMakesNoTimeNegative) {
  accept("a", 1);
  clock_.advance_us(-10'000'000);
  accept("b", 2);
  drain();
  EXPECT_TRUE(has_metric(registry_, "ca4_end_to_end_seconds_sum 0"));
}

TEST_F(WorkerTest, ABadRecordGoesToTheDeadLettersAndItsNeighboursToTheStore) {
  accept("before", 1);
  append({{"key", "no event at all", {{"trace", "t"}, {"reason", "theirs"}}}});
  event::Event odd = make_event("odd", 3);
  odd.meta_json = R"({"extra":5})";
  append({{"odd", event::encode(odd), {}}});
  accept("after", 4);
  drain();

  EXPECT_THAT(store_.all(), ElementsAre(Pair("after", ::testing::_), Pair("before", ::testing::_)));
  ASSERT_EQ(dead_.end(), 2);
  const log::Record raw = dead_.at(0);
  EXPECT_EQ(raw.key, "key");
  EXPECT_EQ(raw.value, "no event at all");
  EXPECT_THAT(raw.headers, ElementsAre(Pair("reason", ::testing::Not("")), Pair("stage", "decode"),
                                       Pair("source_topic", "gpu-metadata"),
                                       Pair("source_partition", "0"), Pair("source_offset", "1"),
                                       Pair("failed_at", "2023-11-14T22:13:22.000000Z"),
                                       Pair("trace", "t"), Pair("reason", "theirs")));
  EXPECT_EQ(letter(1).stage, "transform");
  EXPECT_THAT(letter(1).reason, HasSubstr("extra"));
  EXPECT_TRUE(
      has_metric(registry_, "ca4_dead_letters_total{reason=\"unreadable\",stage=\"decode\"} 1"));
  EXPECT_TRUE(
      has_metric(registry_, "ca4_dead_letters_total{reason=\"extra\",stage=\"transform\"} 1"));
}

TEST_F(WorkerTest, ALetterThatTheDeadLettersRefuseAsTooLargeIsCutAndHoldsUpNobody) {
  dead_.batch_bytes_max = 64U << 10;
  const std::string huge(100'000, 'x');
  append({{"huge", huge, {{"theirs", "t"}}}, {"small", "no event", {{"theirs", "t"}}}});
  accept("neighbour", 1);
  drain();

  EXPECT_THAT(store_.all(), ElementsAre(Pair("neighbour", ::testing::_)));
  ASSERT_EQ(dead_.end(), 2);
  EXPECT_EQ(letter(0).value, huge.substr(0, kLetterValueBytesMax));
  EXPECT_EQ(letter(0).name(), "0:0");
  EXPECT_THAT(letter(0).headers, ElementsAre(Pair("original_bytes", "100000"),
                                             Pair("original_sha256", sha256_hex(huge))));
  EXPECT_EQ(letter(1).value, "no event");
  EXPECT_THAT(letter(1).headers, ElementsAre(Pair("theirs", "t")));
}

TEST_F(WorkerTest, LettersThatAreTooMuchForOneAppendAreAppendedOneByOneAndOnce) {
  dead_.batch_bytes_max = 1000;
  append({{"a", std::string(600, 'a'), {}}, {"b", std::string(600, 'b'), {}}});
  int appends = 0;
  // The second alone fails once: the first must not come a second time.
  dead_.on_append = [&appends] {
    return ++appends == 3 ? Status(Code::kUnavailable, "gone") : Status::ok();
  };
  drain();
  ASSERT_EQ(dead_.end(), 2);
  EXPECT_EQ(letter(0).key, "a");
  EXPECT_EQ(letter(1).key, "b");
}

TEST_F(WorkerTest, WhatTheStoreRefusesForEverGoesToTheDeadLetters) {
  store_.on_document = [](const store::Document& document) {
    std::optional<store::UpsertResult> said;
    if (document.metadata_id == "huge") said = {store::Outcome::kDeadLetter, "too large for it"};
    return said;
  };
  accept("huge", 1);
  accept("fine", 2);
  drain();
  EXPECT_THAT(store_.all(), ElementsAre(Pair("fine", ::testing::_)));
  ASSERT_EQ(dead_.end(), 1);
  EXPECT_EQ(letter(0).stage, "store");
  EXPECT_EQ(letter(0).reason, "too large for it");
  EXPECT_EQ(letter(0).value, source_.at(0).value);
}

TEST_F(WorkerTest, ABatchThatTheStoreRefusesAsAWholeLosesOnlyTheDocumentAtFault) {
  // A store that can't tell which document of a batch is wrong: the batch is refused, then "bad".
  class AllOrNothing final : public store::DocumentStore {
   public:
    Result<std::vector<store::UpsertResult>> upsert(
        std::span<const store::Document> batch) override {
      for (const store::Document& document : batch) {
        if (document.metadata_id == "bad") return Status(Code::kTooLarge, "17 MB");
      }
      return inner.upsert(batch);
    }
    Status find(const store::Filter&, const store::FindOptions&, const store::Visit&) override {
      return Status::ok();
    }
    Result<uint64_t> count(const store::Filter&) override { return 0; }
    Result<std::vector<store::Neighbour>> similar(std::span<const float>, size_t,
                                                  const store::Filter&) override {
      return std::vector<store::Neighbour>{};
    }
    Status remove(std::string_view id) override { return inner.remove(id); }
    Status ping() override { return Status::ok(); }
    FakeStore inner;
  } store;
  append({make_record("a", 1), make_record("bad", 2), make_record("c", 3)});
  Worker worker(source_, store, dead_, clock_, registry_, options_);
  Running running(worker);
  ASSERT_TRUE(eventually([&] { return source_.committed(kWorkerGroup) == 3; }));
  EXPECT_EQ(store.inner.all().size(), 2U);
  ASSERT_EQ(dead_.end(), 1);
  EXPECT_EQ(letter(0).key, "bad");
  EXPECT_EQ(letter(0).reason, "17 MB");
}

TEST_F(WorkerTest, AStoreThatIsAwayIsWaitedForAndNothingIsCommittedMeanwhile) {
  std::atomic<bool> away = true;
  store_.on_upsert = [&] {
    return away ? Status(Code::kUnavailable, "connection refused") : Status::ok();
  };
  for (uint64_t i = 0; i < 20; ++i) accept("id-" + std::to_string(i), i + 1);
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  Running running(worker);
  ASSERT_TRUE(eventually([&] { return store_.upserts > 5; }));
  EXPECT_EQ(source_.committed(kWorkerGroup), 0);
  EXPECT_TRUE(store_.all().empty());
  away = false;
  ASSERT_TRUE(eventually([&] { return source_.committed(kWorkerGroup) == 20; }));
  EXPECT_EQ(store_.all().size(), 20U);
  EXPECT_EQ(dead_.end(), 0);
}

TEST_F(WorkerTest, DocumentsToRetryAreTriedAgainWithoutTheirNeighbours) {
  std::atomic<int> refusals = 3;
  std::atomic<int> neighbour = 0;
  store_.on_document = [&](const store::Document& document) {
    std::optional<store::UpsertResult> said;
    if (document.metadata_id == "neighbour") ++neighbour;
    if (document.metadata_id == "slow" && refusals-- > 0) said = {store::Outcome::kRetry, "busy"};
    return said;
  };
  append({make_record("slow", 1), make_record("neighbour", 2)});
  drain();
  EXPECT_EQ(store_.all().size(), 2U);
  EXPECT_EQ(neighbour, 1);
  EXPECT_TRUE(has_metric(registry_, "ca4_retries_total{group=\"ca4-worker\",step=\"store\"} 3"));
}

TEST_F(WorkerTest, ACrashBetweenUpsertAndCommitLeavesTheSameState) {
  append({make_record("a", 1), make_record("b", 2), {"key", "broken", {}}});
  {
    Worker* killed = nullptr;
    source_.on_commit = [&] {
      killed->stop();
      return Status(Code::kUnavailable, "killed");
    };
    Worker worker(source_, store_, dead_, clock_, registry_, options_);
    killed = &worker;
    Running running(worker);
    running.wait();
  }
  EXPECT_EQ(source_.committed(kWorkerGroup), 0);
  const auto before = store_.all();
  ASSERT_EQ(before.size(), 2U);
  source_.on_commit = nullptr;
  drain();
  const auto after = store_.all();
  ASSERT_EQ(after.size(), 2U);
  EXPECT_EQ(after.at("a").version, before.at("a").version);
  EXPECT_EQ(after.at("b").offset, before.at("b").offset);
  EXPECT_TRUE(has_metric(registry_, "ca4_documents_total{result=\"unchanged\"} 2"));

  // The letter was written twice and is one to whoever reads them.
  EXPECT_EQ(dead_.end(), 2);
  int letters = 0;
  auto reader = dead_.consumer("test").value();
  ASSERT_TRUE(visit_dead_letters(log::read_until(*reader, dead_.lag("reader").value()),
                                 [&](const DeadLetter&) { return ++letters > 0; })
                  .is_ok());
  EXPECT_EQ(letters, 1);
}

TEST_F(WorkerTest, TheLastAcceptedVersionWinsInWhateverOrderRedeliveryBringsThem) {
  append({make_record("a", 2, R"(,"model_name":"new")"), make_record("b", 5)});
  append({make_record("a", 1, R"(,"model_name":"old")"), make_record("a", 2)});
  drain();
  EXPECT_EQ(store_.all().at("a").version, 2U);
  EXPECT_EQ(store_.all().at("a").model_name, "new");
  EXPECT_TRUE(has_metric(registry_, "ca4_documents_total{result=\"stale\"} 1"));
}

TEST_F(WorkerTest, NothingIsCommittedUntilTheDeadLettersAreDurable) {
  std::atomic<bool> full = true;
  std::atomic<int> appends = 0;
  dead_.on_append = [&] {
    ++appends;
    return full ? Status(Code::kIo, "disk full") : Status::ok();
  };
  append({{"key", "broken", {}}, make_record("fine", 1)});
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  Running running(worker);
  ASSERT_TRUE(eventually([&] { return appends > 3; }));
  EXPECT_EQ(source_.committed(kWorkerGroup), 0);
  EXPECT_EQ(store_.all().size(), 1U);  // a full dead-letter disk doesn't hold up its neighbours
  full = false;
  ASSERT_TRUE(eventually([&] { return source_.committed(kWorkerGroup) == 2; }));
  EXPECT_EQ(dead_.end(), 1);
  EXPECT_EQ(store_.upserts, 1);
}

TEST_F(WorkerTest, AFailedCommitIsFollowedByReadingAgain) {
  std::atomic<int> failures = 2;
  source_.on_commit = [&] {
    return failures-- > 0 ? Status(Code::kUnavailable, "rebalancing") : Status::ok();
  };
  accept("a", 1);
  drain();
  EXPECT_EQ(store_.all().size(), 1U);
  EXPECT_EQ(store_.upserts, 3);
}

TEST_F(WorkerTest, FailedCommitsDoNotMultiplyDeadLetters) {
  std::atomic<int> failures = 5;
  source_.on_commit = [&] {
    return failures-- > 0 ? Status(Code::kIo, "read-only file system") : Status::ok();
  };
  append({{"key", "broken", {}}});
  accept("a", 1);
  drain();
  EXPECT_EQ(dead_.end(), 1);
}

TEST_F(WorkerTest, ABadRecordOfATopicMadeAnewIsALetterToo) {
  append({{"old", "no event", {}}});
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  Running running(worker);
  EXPECT_TRUE(eventually([&] { return source_.committed(kWorkerGroup) == 1; }));
  source_.begin_anew();
  append({{"new", "no event", {}}});
  EXPECT_TRUE(eventually([&] { return source_.committed(kWorkerGroup) == 1; }));
  ASSERT_EQ(dead_.end(), 2);
  EXPECT_EQ(letter(1).key, "new");
}

TEST_F(WorkerTest, ALogThatFailsToOpenOrToAnswerIsWaitedFor) {
  std::atomic<int> open_failures = 2;
  std::atomic<int> poll_failures = 2;
  source_.on_open = [&] {
    return open_failures-- > 0 ? Status(Code::kIo, "locked") : Status::ok();
  };
  source_.on_poll = [&] {
    return poll_failures-- > 0 ? Status(Code::kUnavailable, "broker away") : Status::ok();
  };
  accept("a", 1);
  drain();
  EXPECT_EQ(store_.all().size(), 1U);
}

TEST_F(WorkerTest, PollsThatFailAreTriedAgainWithinASecondHoweverLongOtherPausesGrow) {
  options_.backoff = {.min_ms = 60'000, .max_ms = 60'000};
  std::atomic<int> poll_failures = 2;
  source_.on_poll = [&] {
    return poll_failures-- > 0 ? Status(Code::kUnavailable, "damaged") : Status::ok();
  };
  accept("a", 1);
  drain();
  EXPECT_EQ(store_.all().size(), 1U);
}

TEST_F(WorkerTest, StopDuringBackOffIsPromptAndLeavesTheBatchUncommitted) {
  options_.backoff = {.min_ms = 60'000, .max_ms = 60'000};
  store_.on_upsert = [] { return Status(Code::kUnavailable, "away"); };
  accept("a", 1);
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  Running running(worker);
  ASSERT_TRUE(eventually([&] { return store_.upserts == 1; }));
  EXPECT_LT(running.stop().count(), 5'000);
  EXPECT_EQ(source_.committed(kWorkerGroup), 0);
  store_.on_upsert = nullptr;
  drain();
  EXPECT_EQ(store_.all().size(), 1U);
}

TEST_F(WorkerTest, StopDuringAnIdleWaitIsPrompt) {
  options_.poll_wait_ms_max = 60'000;
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  Running running(worker);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_LT(running.stop().count(), 5'000);
}

TEST_F(WorkerTest, StopBeforeRunReturnsAtOnce) {
  options_.poll_wait_ms_max = 60'000;
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  worker.stop();
  worker.run();
  EXPECT_EQ(store_.upserts, 0);
}

TEST_F(WorkerTest, TheBatchInHandIsFinishedAndCommittedWhenStopComes) {
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  store_.on_upsert = [&] {
    worker.stop();
    return Status::ok();
  };
  accept("a", 1);
  Running running(worker);
  running.wait();
  EXPECT_EQ(store_.all().size(), 1U);
  EXPECT_EQ(source_.committed(kWorkerGroup), 1);
}

TEST_F(WorkerTest, ADeadLetterLogThatNeverAnswersCountsAsFailedAndStopIsBounded) {
  class Silent final : public log::EventLog {
   public:
    void append(std::vector<log::NewRecord>, log::AppendDone done) override {
      kept.push_back(std::move(done));
    }
    Result<std::unique_ptr<log::Consumer>> consumer(const std::string&) override {
      return Status(Code::kInternal, "not asked for");
    }
    Result<std::unique_ptr<log::Consumer>> scan(log::From) override {
      return Status(Code::kInternal, "not asked for");
    }
    Result<std::vector<log::Record>> newest() override { return std::vector<log::Record>{}; }
    Result<std::vector<log::PartitionLag>> lag(const std::string&) override {
      return std::vector<log::PartitionLag>{};
    }
    Status ready() override { return Status::ok(); }
    size_t queue_depth() const override { return kept.size(); }
    void close() override {}
    const std::string& topic() const override { return topic_; }
    std::vector<log::AppendDone> kept;

   private:
    std::string topic_ = "dlq";
  } silent;
  options_.dead_letter_wait_ms_max = 10;
  append({{"key", "broken", {}}});
  {
    Worker worker(source_, store_, silent, clock_, registry_, options_);
    Running running(worker);
    ASSERT_TRUE(eventually([&] {
      return has_metric(registry_,
                        "ca4_retries_total{group=\"ca4-worker\",step=\"dead_letter\"} 2");
    }));
    EXPECT_LT(running.stop().count(), 5'000);
  }
  EXPECT_EQ(source_.committed(kWorkerGroup), 0);
  for (const log::AppendDone& done : silent.kept) done(std::vector<log::Position>{});  // too late
}

TEST_F(WorkerTest, TheLagGaugeSaysWhatIsNotCommitted) {
  options_.batch_records_max = 1;
  for (uint64_t i = 0; i < 3; ++i) accept("id-" + std::to_string(i), i + 1);
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  store_.on_upsert = [&] {
    if (store_.upserts == 1) return Status::ok();
    return Status(Code::kUnavailable, "away");
  };
  Running running(worker);
  EXPECT_TRUE(eventually([&] {
    return has_metric(registry_, "ca4_lag_records{group=\"ca4-worker\",partition=\"0\"} 2");
  }));
}

TEST_F(WorkerTest, AStepThatFailsIsSeenWhileItDoesAndTheBatchAges) {
  accept("id", 1);
  Worker worker(source_, store_, dead_, clock_, registry_, options_);
  std::atomic<bool> away = true;
  store_.on_upsert = [&] { return away ? Status(Code::kUnavailable, "away") : Status::ok(); };
  Running running(worker);
  const std::string failing = "ca4_step_failing{group=\"ca4-worker\",step=\"store\"} ";
  const std::string age = "ca4_batch_age_seconds{group=\"ca4-worker\"} ";
  EXPECT_TRUE(eventually([&] { return has_metric(registry_, failing + "1"); }));
  EXPECT_FALSE(has_metric(registry_, age + "0"));
  away = false;
  EXPECT_TRUE(eventually(
      [&] { return has_metric(registry_, failing + "0") && has_metric(registry_, age + "0"); }));
}

}  // namespace
}  // namespace ca4::worker
