#include "log/event_log_conformance.h"

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <set>
#include <thread>

namespace ca4::log {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<int64_t> append_values(EventLog& log, const std::vector<std::string>& values) {
  std::vector<int64_t> offsets;
  for (const std::string& value : values) {
    Result<std::vector<Position>> done = append_and_wait(log, {{"key-" + value, value, {}}});
    EXPECT_TRUE(done.is_ok()) << done.status().to_string();
    if (done) offsets.push_back(done->at(0).offset);
  }
  return offsets;
}

Result<std::vector<Record>> poll_first(Consumer& consumer, PollLimits limits) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  limits.wait_ms_max = 300;
  for (;;) {
    Result<std::vector<Record>> polled = consumer.poll(limits);
    EXPECT_TRUE(polled.is_ok()) << polled.status().to_string();
    if (!polled || !polled->empty() || std::chrono::steady_clock::now() > end) return polled;
  }
}

std::vector<Record> poll_all(Consumer& consumer) {
  std::vector<Record> all;
  for (;;) {
    Result<std::vector<Record>> polled = consumer.poll({.wait_ms_max = 300});
    EXPECT_TRUE(polled.is_ok()) << polled.status().to_string();
    if (!polled || polled->empty()) return all;
    for (Record& record : *polled) all.push_back(std::move(record));
  }
}

std::vector<Record> poll_records(Consumer& consumer, size_t count) {
  std::vector<Record> all;
  while (all.size() < count) {
    Result<std::vector<Record>> polled = poll_first(consumer, {});
    if (!polled || polled->empty()) break;
    for (Record& record : *polled) all.push_back(std::move(record));
  }
  return all;
}

std::vector<std::string> values_of(const std::vector<Record>& records) {
  std::vector<std::string> values;
  for (const Record& record : records) values.push_back(record.value);
  return values;
}

namespace {

std::unique_ptr<Consumer> consumer_of(EventLog& log, const std::string& group) {
  Result<std::unique_ptr<Consumer>> consumer = log.consumer(group);
  EXPECT_TRUE(consumer.is_ok()) << consumer.status().to_string();
  return std::move(consumer).value();
}

Position after(const Record& record) {
  return {record.position.partition, record.position.offset + 1};
}

int64_t total_lag(EventLog& log, const std::string& group) {
  Result<std::vector<PartitionLag>> lag = log.lag(group);
  EXPECT_TRUE(lag.is_ok()) << lag.status().to_string();
  int64_t total = 0;
  for (const PartitionLag& partition : *lag) total += partition.lag();
  return total;
}

}  // namespace

void EventLogConformance::SetUp() {
  under_test_ = GetParam()();
  log_ = under_test_->open();
  ASSERT_NE(log_, nullptr);
}

TEST_P(EventLogConformance, RecordsComeInAppendOrderWithGrowingOffsets) {
  const std::vector<int64_t> offsets = append_values(*log_, {"a", "b", "c"});
  ASSERT_THAT(offsets, SizeIs(3));
  EXPECT_LT(offsets[0], offsets[1]);
  EXPECT_LT(offsets[1], offsets[2]);
  const std::vector<Record> records = poll_records(*consumer_of(*log_, "g"), 3);
  ASSERT_THAT(values_of(records), ElementsAre("a", "b", "c"));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(records[i].position.offset, offsets[i]);
  EXPECT_EQ(records[0].key, "key-a");
}

TEST_P(EventLogConformance, BatchHasOnePositionARecordInBatchOrder) {
  auto done = append_and_wait(*log_, {{"1", "x", {}}, {"2", "y", {}}, {"3", "z", {}}});
  ASSERT_TRUE(done.is_ok());
  ASSERT_THAT(*done, SizeIs(3));
  const std::vector<Record> records = poll_records(*consumer_of(*log_, "g"), 3);
  ASSERT_THAT(values_of(records), ElementsAre("x", "y", "z"));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(records[i].position, done->at(i));
}

TEST_P(EventLogConformance, EmptyBatchIsOkAndHasNoPositions) {
  auto done = append_and_wait(*log_, {});
  ASSERT_TRUE(done.is_ok()) << done.status().to_string();
  EXPECT_THAT(*done, IsEmpty());
}

TEST_P(EventLogConformance, KeysValuesAndHeadersAreBinarySafeAndMayBeEmpty) {
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  const std::vector<std::pair<std::string, std::string>> headers = {
      {"reason", "not an event"}, {"", ""}, {"reason", binary}};
  ASSERT_TRUE(append_and_wait(*log_, {{binary, binary, headers}, {"", "", {}}}).is_ok());
  const std::vector<Record> records = poll_records(*consumer_of(*log_, "g"), 2);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].key, binary);
  EXPECT_EQ(records[0].value, binary);
  EXPECT_EQ(records[0].headers, headers);
  EXPECT_EQ(records[1].key, "");
  EXPECT_EQ(records[1].value, "");
  EXPECT_THAT(records[1].headers, IsEmpty());
}

TEST_P(EventLogConformance, ValueOfManyMegabytesComesBackWhole) {
  std::string large(5U << 20, '\0');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 31 >> 3);
  ASSERT_TRUE(append_and_wait(*log_, {{"k", large, {}}}).is_ok());
  const std::vector<Record> records = poll_records(*consumer_of(*log_, "g"), 1);
  ASSERT_THAT(records, SizeIs(1));
  EXPECT_TRUE(records[0].value == large);
}

TEST_P(EventLogConformance, WhatIsNotCommittedComesAgainToTheNextConsumer) {
  append_values(*log_, {"a", "b", "c"});
  {
    auto first = consumer_of(*log_, "g");
    const std::vector<Record> records = poll_records(*first, 3);
    ASSERT_THAT(records, SizeIs(3));
    ASSERT_TRUE(first->commit({after(records[0])}).is_ok());
  }
  EXPECT_THAT(values_of(poll_records(*consumer_of(*log_, "g"), 2)), ElementsAre("b", "c"));
}

TEST_P(EventLogConformance, RewindGivesAgainWhatIsBehindTheCommit) {
  append_values(*log_, {"a", "b", "c"});
  auto consumer = consumer_of(*log_, "g");
  const std::vector<Record> records = poll_records(*consumer, 3);
  ASSERT_THAT(records, SizeIs(3));
  ASSERT_TRUE(consumer->commit({after(records[0])}).is_ok());
  ASSERT_TRUE(consumer->rewind().is_ok());
  EXPECT_THAT(values_of(poll_records(*consumer, 2)), ElementsAre("b", "c"));
  EXPECT_THAT(consumer->poll({.wait_ms_max = 300}).value(), IsEmpty());
}

TEST_P(EventLogConformance, RewindWithoutACommitStartsOver) {
  append_values(*log_, {"a", "b"});
  auto consumer = consumer_of(*log_, "g");
  ASSERT_THAT(poll_records(*consumer, 2), SizeIs(2));
  ASSERT_TRUE(consumer->rewind().is_ok());
  EXPECT_THAT(values_of(poll_records(*consumer, 2)), ElementsAre("a", "b"));
}

TEST_P(EventLogConformance, PollGoesOnBehindTheLastPollWithoutACommit) {
  append_values(*log_, {"a", "b"});
  auto consumer = consumer_of(*log_, "g");
  ASSERT_THAT(values_of(poll_records(*consumer, 2)), ElementsAre("a", "b"));
  append_values(*log_, {"c"});
  EXPECT_THAT(values_of(poll_records(*consumer, 1)), ElementsAre("c"));
}

TEST_P(EventLogConformance, GroupsReadAndCommitIndependently) {
  append_values(*log_, {"a", "b"});
  auto one = consumer_of(*log_, "one");
  auto two = consumer_of(*log_, "two");
  const std::vector<Record> records = poll_records(*one, 2);
  ASSERT_THAT(records, SizeIs(2));
  ASSERT_TRUE(one->commit({after(records[1])}).is_ok());
  EXPECT_THAT(values_of(poll_records(*two, 2)), ElementsAre("a", "b"));
  EXPECT_EQ(total_lag(*log_, "one"), 0);
  EXPECT_EQ(total_lag(*log_, "two"), 2);
}

TEST_P(EventLogConformance, LagIsTheWholeLogUntilTheFirstCommit) {
  append_values(*log_, {"a", "b", "c"});
  EXPECT_EQ(total_lag(*log_, "never-seen"), 3);
  auto consumer = consumer_of(*log_, "g");
  const std::vector<Record> records = poll_records(*consumer, 3);
  ASSERT_THAT(records, SizeIs(3));
  EXPECT_EQ(total_lag(*log_, "g"), 3);
  ASSERT_TRUE(consumer->commit({after(records[1])}).is_ok());
  EXPECT_EQ(total_lag(*log_, "g"), 1);
}

TEST_P(EventLogConformance, CommitOfAnUnknownPlaceIsRefused) {
  append_values(*log_, {"a"});
  auto consumer = consumer_of(*log_, "g");
  EXPECT_FALSE(consumer->commit({{0, 1'000'000}}).is_ok());
  EXPECT_FALSE(consumer->commit({{9'999, 0}}).is_ok());
  EXPECT_FALSE(consumer->commit({{0, -1}}).is_ok());
  EXPECT_THAT(values_of(poll_records(*consumer, 1)), ElementsAre("a"));
}

TEST_P(EventLogConformance, PollKeepsToItsRecordLimit) {
  append_values(*log_, {"a", "b", "c"});
  auto consumer = consumer_of(*log_, "g");
  const PollLimits two{.records_max = 2};
  auto polled = poll_first(*consumer, two);
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(values_of(*polled), ElementsAre("a", "b"));
  polled = poll_first(*consumer, two);
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(values_of(*polled), ElementsAre("c"));
}

TEST_P(EventLogConformance, PollKeepsToItsByteLimitButGivesOneLargeRecord) {
  const std::string large(1000, 'x');
  ASSERT_TRUE(append_and_wait(*log_, {{"", large, {}}, {"", "b", {}}, {"", "c", {}}}).is_ok());
  auto consumer = consumer_of(*log_, "g");
  const PollLimits limits{.bytes_max = 100};
  auto polled = poll_first(*consumer, limits);
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(values_of(*polled), ElementsAre(large));
  polled = poll_first(*consumer, limits);
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(values_of(*polled), ElementsAre("b", "c"));
}

TEST_P(EventLogConformance, PollOfNothingComesBackEmptyAfterItsWait) {
  auto consumer = consumer_of(*log_, "g");
  const auto start = std::chrono::steady_clock::now();
  auto polled = consumer->poll({.wait_ms_max = 60});
  const auto waited = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(*polled, IsEmpty());
  EXPECT_GE(waited, std::chrono::milliseconds(50));
}

TEST_P(EventLogConformance, WaitingPollSeesANewRecordLongBeforeItsWaitIsOver) {
  auto consumer = consumer_of(*log_, "g");
  auto polling = std::async(std::launch::async, [&] {
    const auto start = std::chrono::steady_clock::now();
    auto polled = consumer->poll({.wait_ms_max = 30'000});
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
    return polled;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  append_values(*log_, {"a"});
  auto polled = polling.get();
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(values_of(*polled), ElementsAre("a"));
}

TEST_P(EventLogConformance, InterruptEndsAWaitingPollAndLaterPollsReturnAtOnce) {
  auto consumer = consumer_of(*log_, "g");
  const auto start = std::chrono::steady_clock::now();
  auto polling =
      std::async(std::launch::async, [&] { return consumer->poll({.wait_ms_max = 30'000}); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  consumer->interrupt();
  auto polled = polling.get();
  ASSERT_TRUE(polled.is_ok());
  EXPECT_THAT(*polled, IsEmpty());
  ASSERT_TRUE(consumer->poll({.wait_ms_max = 30'000}).is_ok());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

TEST_P(EventLogConformance, AppendsOfEightThreadsAreAllThereOnceInTheirOwnOrder) {
  constexpr int kThreads = 8;
  constexpr int kAppends = 100;
  std::atomic<int> answers = 0;
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kAppends; ++i) {
        const std::string key = std::to_string(t);
        log_->append({{key, std::to_string(2 * i), {}}, {key, std::to_string(2 * i + 1), {}}},
                     [&](Result<std::vector<Position>> done) {
                       ++answers;
                       if (!done || done->size() != 2) ++failures;
                     });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<Record> records =
      poll_records(*consumer_of(*log_, "g"), size_t{kThreads} * kAppends * 2);
  ASSERT_THAT(records, SizeIs(kThreads * kAppends * 2));
  log_->close();
  EXPECT_EQ(answers, kThreads * kAppends);
  EXPECT_EQ(failures, 0);

  std::map<std::string, int> next;
  std::set<std::pair<int32_t, int64_t>> places;
  for (size_t i = 0; i < records.size(); ++i) {
    EXPECT_EQ(records[i].value, std::to_string(next[records[i].key]++));
    places.insert({records[i].position.partition, records[i].position.offset});
    // The two records of a batch are neighbours.
    EXPECT_EQ(records[i].key, records[i - i % 2].key);
  }
  EXPECT_EQ(places.size(), records.size());
}

TEST_P(EventLogConformance, CloseAnswersEveryQueuedAppendOnceAndThenRefuses) {
  std::atomic<int> kept = 0;
  std::atomic<int> answers = 0;
  for (int i = 0; i < 200; ++i) {
    log_->append({{"k", std::to_string(i), {}}}, [&](Result<std::vector<Position>> done) {
      ++answers;
      if (done) ++kept;
    });
  }
  log_->close();
  EXPECT_EQ(answers, 200);
  EXPECT_EQ(kept, 200);
  EXPECT_EQ(append_and_wait(*log_, {{"k", "late", {}}}).status().code(), Code::kCancelled);
  log_->close();
}

TEST_P(EventLogConformance, FullLogRefusesWholeBatchesAndSaysSo) {
  log_.reset();
  log_ = under_test_->open_bounded(1U << 20);
  if (!log_) return;  // nothing is promised then
  auto reader = consumer_of(*log_, "g");
  ASSERT_TRUE(log_->ready().is_ok());
  const std::string value(10'000, 'x');
  std::vector<Position> kept;
  Status refusal;
  for (int i = 0; i < 100 && refusal.is_ok(); ++i) {
    auto done = append_and_wait(*log_, {{"k", value, {}}, {"k", value, {}}});
    refusal = done.status();
    if (done) kept.insert(kept.end(), done->begin(), done->end());
  }
  EXPECT_EQ(refusal.code(), Code::kOverloaded) << refusal.to_string();
  EXPECT_FALSE(refusal.message().empty());
  ASSERT_GT(kept.size(), 20U);
  const std::vector<Record> records = poll_records(*reader, kept.size());
  ASSERT_EQ(records.size(), kept.size());
  EXPECT_THAT(reader->poll({.wait_ms_max = 300}).value(), IsEmpty());
  for (size_t i = 0; i < kept.size(); ++i) EXPECT_EQ(records[i].position, kept[i]);

  // What was read makes room.
  ASSERT_TRUE(reader->commit({after(records.back())}).is_ok());
  Status again = refusal;
  for (int i = 0; i < 100 && !again.is_ok(); ++i) {
    again = append_and_wait(*log_, {{"k", value, {}}}).status();
    if (!again.is_ok()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_TRUE(again.is_ok()) << again.to_string();
}

TEST_P(EventLogConformance, ReopenedLogGoesOnBehindTheCommitAndItsOldOffsets) {
  if (!under_test_->durable()) return;  // nothing is promised then
  const std::vector<int64_t> before = append_values(*log_, {"a", "b", "c"});
  {
    auto consumer = consumer_of(*log_, "g");
    const std::vector<Record> records = poll_records(*consumer, 3);
    ASSERT_THAT(records, SizeIs(3));
    ASSERT_TRUE(consumer->commit({after(records[1])}).is_ok());
  }
  log_.reset();
  log_ = under_test_->open();
  ASSERT_NE(log_, nullptr);
  EXPECT_EQ(total_lag(*log_, "g"), 1);
  const std::vector<int64_t> later = append_values(*log_, {"d"});
  ASSERT_THAT(later, SizeIs(1));
  EXPECT_GT(later[0], before[2]);
  EXPECT_THAT(values_of(poll_records(*consumer_of(*log_, "g"), 2)), ElementsAre("c", "d"));
  EXPECT_THAT(values_of(poll_records(*consumer_of(*log_, "new"), 4)),
              ElementsAre("a", "b", "c", "d"));
}

TEST_P(EventLogConformance, AScanReadsEverythingForNobody) {
  append_values(*log_, {"a", "b"});
  const std::vector<Record> records = poll_records(*consumer_of(*log_, "g"), 2);
  ASSERT_THAT(records, SizeIs(2));
  auto scan = log_->scan(From::kOldest).value();
  EXPECT_THAT(values_of(poll_records(*scan, 2)), ElementsAre("a", "b"));
  EXPECT_EQ(scan->commit({after(records[0])}).code(), Code::kInvalidArgument);
  ASSERT_TRUE(scan->rewind().is_ok());
  EXPECT_THAT(values_of(poll_records(*scan, 2)), ElementsAre("a", "b"));
  EXPECT_EQ(total_lag(*log_, "g"), 2);
  EXPECT_EQ(total_lag(*log_, kNobody), 2);
}

TEST_P(EventLogConformance, AScanFromTheEndSeesWhatComesAfterIt) {
  append_values(*log_, {"a"});
  auto scan = log_->scan(From::kEnd).value();
  append_values(*log_, {"b"});
  EXPECT_THAT(values_of(poll_records(*scan, 1)), ElementsAre("b"));
  ASSERT_TRUE(scan->rewind().is_ok());
  EXPECT_THAT(values_of(poll_records(*scan, 1)), ElementsAre("b"));
}

TEST_P(EventLogConformance, ReadingToTheEndEndsThere) {
  EXPECT_THAT(read_to_end(*log_).value()().value(), IsEmpty());
  append_values(*log_, {"a", "b"});
  const NextRecords next = read_to_end(*log_).value();
  std::vector<Record> all;
  for (auto some = next().value(); !some.empty(); some = next().value()) {
    all.insert(all.end(), some.begin(), some.end());
  }
  EXPECT_THAT(values_of(all), ElementsAre("a", "b"));
}

TEST_P(EventLogConformance, NewestIsTheLastRecordAlsoAfterReopening) {
  EXPECT_THAT(log_->newest().value(), IsEmpty());
  append_values(*log_, {"a", "b"});
  EXPECT_THAT(values_of(log_->newest().value()), ElementsAre("b"));
  if (!under_test_->durable()) return;
  log_.reset();
  log_ = under_test_->open();
  EXPECT_THAT(values_of(log_->newest().value()), ElementsAre("b"));
}

TEST_P(EventLogConformance, DepthIsZeroWhenNothingWaits) {
  append_values(*log_, {"a"});
  EXPECT_EQ(log_->queue_depth(), 0U);
  EXPECT_FALSE(log_->topic().empty());
}

}  // namespace ca4::log
