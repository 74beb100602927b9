#include "log/spooled_log.h"

#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <thread>

#include "base/test_dir.h"
#include "log/event_log_conformance.h"
#include "log/fake_target.h"
#include "log/memory_log.h"
#include "log/spool_test_support.h"

namespace ca4::log {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using Fault = FakeTarget::Fault;

class SpooledUnderTest final : public LogUnderTest {
 public:
  std::unique_ptr<EventLog> open() override { return open_in(dir_.path(), 64 << 20, 64 << 20); }
  // Full is what target and spool are both: the spool takes nothing from the start.
  std::unique_ptr<EventLog> open_bounded(size_t bytes) override {
    return open_in(dir_.path() + "/bounded", static_cast<int64_t>(bytes), 1);
  }
  bool durable() const override { return true; }

 private:
  std::unique_ptr<EventLog> open_in(const std::string& dir, int64_t target_bytes,
                                    int64_t spool_bytes) {
    EmbeddedLogOptions spool = spool_options(dir + "/spool.db");
    spool.bytes_max = spool_bytes;
    auto target = EmbeddedLog::open(
        {.dir = dir, .bytes_max = target_bytes, .retention_interval_ms = 20}, clock_);
    auto opened = SpooledLog::open(EmbeddedLog::open(spool, clock_).value(),
                                   std::move(target).value(), no_letters(), quick(), clock_);
    EXPECT_TRUE(opened.is_ok()) << opened.status().to_string();
    return std::move(opened).value();
  }

  TempDir dir_;
  SystemClock clock_;
};

INSTANTIATE_TEST_SUITE_P(Spooled, EventLogConformance,
                         testing::Values(+[]() -> std::unique_ptr<LogUnderTest> {
                           return std::make_unique<SpooledUnderTest>();
                         }),
                         [](const auto&) { return "log"; });

class SpooledLogTest : public SpoolTest {};

TEST_F(SpooledLogTest, WhileTheTargetTakesEventsTheSpoolSeesNone) {
  open();
  const auto kept = append_and_wait(*log_, {{"k", "a", {}}, {"k", "b", {}}});
  ASSERT_TRUE(kept.is_ok());
  EXPECT_THAT(*kept, Each(Field(&Position::partition, 0)));
  EXPECT_THAT(target_values(), ElementsAre("a", "b"));
  EXPECT_EQ(status().state, OutboxState::kDirect);
  EXPECT_EQ(status().spooled, 0U);
}

TEST_F(SpooledLogTest, EventsOfATargetThatIsAwayAtTheStartWaitAndGoOnInOrder) {
  open(Fault::kAway);
  EXPECT_EQ(status().state, OutboxState::kSpooling);
  for (const char* value : {"a", "b", "c"}) {
    EXPECT_EQ(append("k", value).value().at(0).partition, kOutboxPartition);
  }
  EXPECT_EQ(status().waiting_records, 3);
  EXPECT_TRUE(log_->ready().is_ok()) << log_->ready().to_string();
  EXPECT_THAT(target_values(), IsEmpty());
  EXPECT_THAT(status().last_error, HasSubstr("away"));

  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_EQ(append("k", "d").value().at(0).partition, 0);
  EXPECT_THAT(target_values(), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(status().waiting_records, 0);
  EXPECT_EQ(status().forwarded, 3U);
  EXPECT_EQ(status().last_error, "");
  EXPECT_FALSE(status().oldest_us.has_value());
}

TEST_F(SpooledLogTest, ATargetThatDiesAndComesBackLosesNothingAndKeepsTheOrder) {
  open();
  EXPECT_TRUE(append("k", "a").is_ok());
  target_->set(Fault::kAway);
  EXPECT_TRUE(append("k", "b").is_ok());
  ASSERT_TRUE(becomes(OutboxState::kSpooling));
  EXPECT_EQ(append("k", "c").value().at(0).partition, kOutboxPartition);
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_TRUE(append("k", "d").is_ok());
  EXPECT_THAT(target_values(), ElementsAre("a", "b", "c", "d"));
  EXPECT_EQ(status().turns, 1U);
}

TEST_F(SpooledLogTest, WhatIsInFlightAndFailsStandsBeforeWhatCameLater) {
  open(Fault::kNone, false);
  target_->set(Fault::kHangs);
  auto answers = append_all("k", {"1", "2", "3"});
  target_->set(Fault::kAway);
  answers.push_back(append_later("k", "4"));
  for (auto& answer : answers) {
    EXPECT_EQ(answer.get().value().at(0).partition, kOutboxPartition);
  }
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), ElementsAre("1", "2", "3", "4"));
}

TEST_F(SpooledLogTest, ATargetThatAnswersNothingCountsAsAwayAndItsClientsAreAnswered) {
  options_.stall_ms_max = 50;
  open(Fault::kNone, false);
  target_->set(Fault::kHangs);
  auto answers = append_all("k", {"1", "2"});
  for (auto& answer : answers) {
    EXPECT_EQ(answer.get().value().at(0).partition, kOutboxPartition);
  }
  EXPECT_THAT(status().last_error, HasSubstr("answered within"));
  EXPECT_EQ(append("k", "3").value().at(0).partition, kOutboxPartition);
  // What hung is written late, before what the forwarder sends.
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), ElementsAre("1", "2", "1", "2", "3"));
}

TEST_F(SpooledLogTest, ATargetThatSaysItIsAwayIsNotWaitedFor) {
  open();
  target_->set(Fault::kHangs);
  EXPECT_EQ(append("k", "a").value().at(0).partition, kOutboxPartition);
  ASSERT_TRUE(becomes(OutboxState::kSpooling));
}

TEST_F(SpooledLogTest, WhatWasWrittenButNotAcknowledgedIsSentOnceMore) {
  open(Fault::kNone, false);
  target_->set(Fault::kAckLost);
  EXPECT_TRUE(append("k", "a").is_ok());
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  const std::vector<std::string> values = target_values();
  EXPECT_THAT(values, SizeIs(1 + static_cast<size_t>(target_->lost_acks("a"))));
  EXPECT_THAT(values, Each("a"));
}

TEST_F(SpooledLogTest, AFinalRefusalIsForTheClientAndChangesNothing) {
  open();
  target_->refuse([](const NewRecord& record) { return record.value == "large"; });
  EXPECT_EQ(append("k", "large").status().code(), Code::kTooLarge);
  EXPECT_EQ(status().state, OutboxState::kDirect);
  EXPECT_EQ(append("k", "small").value().at(0).partition, 0);
  EXPECT_EQ(status().spooled, 0U);
}

TEST_F(SpooledLogTest, WhatTheTargetNeverTakesIsKnownWhileItIsAway) {
  open(Fault::kAway);
  target_->refuse([](const NewRecord& record) { return record.value == "large"; });
  EXPECT_EQ(log_->admits({"k", "large", {}}).code(), Code::kTooLarge);
  EXPECT_TRUE(log_->admits({"k", "small", {}}).is_ok());
  EXPECT_EQ(log_->admits({"k", std::string(spool_.queue_bytes_max, 'x'), {}}).code(),
            Code::kTooLarge);
}

TEST_F(SpooledLogTest, ATargetWhoseQueueIsFullIsRelievedByTheSpool) {
  open(Fault::kNone, false);
  target_->set(Fault::kFull);
  EXPECT_EQ(append("k", "a").value().at(0).partition, kOutboxPartition);
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), ElementsAre("a"));
}

TEST_F(SpooledLogTest, TooMuchInFlightGoesToTheSpoolAndNothingIsSentTwice) {
  options_.queue_bytes_max = 20'000;
  open();
  target_->set_delay_us(2'000);
  std::vector<std::string> values;
  std::vector<std::future<Result<std::vector<Position>>>> answers;
  for (int i = 0; i < 19; ++i) {
    values.push_back(std::to_string(i) + std::string(1'000, 'x'));
    answers.push_back(append_later("k", values.back()));
  }
  for (auto& answer : answers) EXPECT_TRUE(answer.get().is_ok());
  EXPECT_GT(status().spooled, 0U);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_EQ(target_values(), values);
}

TEST_F(SpooledLogTest, AppendsOverTheQueuesLimitAreRefusedAtOnceAndTheRestIsKept) {
  options_.queue_bytes_max = 20'000;
  open(Fault::kNone, false);
  target_->set(Fault::kHangs);
  EXPECT_EQ(append("k", std::string(30'000, 'x')).status().code(), Code::kTooLarge);
  std::vector<std::future<Result<std::vector<Position>>>> answers;
  for (int i = 0; i < 40; ++i) answers.push_back(append_later("k", std::string(1'000, 'x')));
  log_->close();
  size_t refused = 0;
  for (auto& answer : answers) {
    const auto kept = answer.get();
    if (kept) continue;
    EXPECT_EQ(kept.status().code(), Code::kOverloaded) << kept.status().to_string();
    ++refused;
  }
  EXPECT_EQ(refused, 21U);
}

TEST_F(SpooledLogTest, ARecordThatIsRefusedForGoodIsKeptAsALetterAndItsNeighboursGoOn) {
  open(Fault::kAway);
  std::vector<std::string> others;
  for (int i = 0; i < 50; ++i) {
    const std::string value = std::to_string(i);
    EXPECT_TRUE(append("k" + value, value).is_ok());
    if (i != 13 && i != 37) others.push_back(value);
  }
  target_->refuse(
      [](const NewRecord& record) { return record.value == "13" || record.value == "37"; });
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_EQ(target_values(), others);
  EXPECT_THAT(letters(), ElementsAre("k13: the target takes no such record",
                                     "k37: the target takes no such record"));
  EXPECT_EQ(status().refused, 2U);
  EXPECT_EQ(status().forwarded, 48U);
}

TEST_F(SpooledLogTest, ALetterThatCanNotBeKeptIsTriedAgainNotLost) {
  open(Fault::kAway);
  EXPECT_TRUE(append("bad", "x").is_ok());
  EXPECT_TRUE(append("good", "y").is_ok());
  letters_fail_ = 3;
  target_->refuse([](const NewRecord& record) { return record.value == "x"; });
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(letters(), ElementsAre("bad: the target takes no such record"));
  EXPECT_EQ(letters_fail_, 0);
  EXPECT_THAT(target_values(), ElementsAre("y"));
}

TEST_F(SpooledLogTest, WhatWaitsAtTheEndIsSentByTheNextStartBeforeAnythingElse) {
  open(Fault::kAway);
  EXPECT_TRUE(append("k", "a").is_ok());
  EXPECT_TRUE(append("k", "b").is_ok());
  reopen();
  // The target is there again, but the spool comes first.
  EXPECT_TRUE(append("k", "c").is_ok());
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), ElementsAre("a", "b", "c"));
  reopen();
  EXPECT_EQ(status().state, OutboxState::kDirect) << "nothing is sent again";
  EXPECT_THAT(target_values(), ElementsAre("a", "b", "c"));
}

TEST_F(SpooledLogTest, TheStartIsToldOfWhatWaits) {
  open(Fault::kAway);
  EXPECT_TRUE(append("k", "a").is_ok());
  EXPECT_THAT(log_->newest().value(), SizeIs(1));
  reopen(Fault::kAway);
  EXPECT_EQ(status().state, OutboxState::kSpooling);
  EXPECT_EQ(status().waiting_records, 1);
  const std::vector<Record> newest = log_->newest().value();
  ASSERT_THAT(newest, SizeIs(1));
  EXPECT_EQ(newest[0].value, "a");
  EXPECT_EQ(newest[0].position.partition, kOutboxPartition);
  EXPECT_FALSE(log_->lag("g").is_ok()) << "the target's, which is away";
  ASSERT_TRUE(eventually([&] { return !changes().empty(); }));
  EXPECT_THAT(changes(), ElementsAre("spooling"));
}

TEST_F(SpooledLogTest, NewestIsOfBothWhileSomethingWaits) {
  open();
  EXPECT_TRUE(append("k", "a").is_ok());
  target_->set(Fault::kFull);
  EXPECT_TRUE(append("k", "b").is_ok());
  ASSERT_TRUE(becomes(OutboxState::kSpooling));
  EXPECT_THAT(values_of(log_->newest().value()), ElementsAre("b"));
  reopen();
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(values_of(log_->newest().value()), ElementsAre("b"));
  EXPECT_EQ(log_->newest().value().at(0).position.partition, 0);
}

TEST_F(SpooledLogTest, AFullSpoolRefusesAndTakesAgainOnceItIsDrained) {
  spool_.bytes_max = 300'000 / 8192 * 8192;  // whole pages: it can be full to the last byte
  open(Fault::kAway);
  const std::string value(9'000, 'x');
  std::vector<std::string> kept;
  Status refusal;
  for (int i = 0; i < 100 && refusal.is_ok(); ++i) {
    kept.push_back(std::to_string(i) + value);
    refusal = append("k", kept.back()).status();
  }
  kept.pop_back();
  EXPECT_EQ(refusal.code(), Code::kOverloaded) << refusal.to_string();
  EXPECT_THAT(refusal.message(), HasSubstr("kafka.outbox_bytes_max"));
  EXPECT_THAT(refusal.message(), HasSubstr("the target is away"));
  while (append("k", "").is_ok()) kept.emplace_back();
  EXPECT_EQ(log_->ready().code(), Code::kOverloaded);
  // Between checkpoints the size is reckoned, the last record's share of its page included.
  constexpr int64_t kShareOfAPage = 32;
  EXPECT_LE(status().bytes_used, status().bytes_max + kShareOfAPage);
  ASSERT_GT(kept.size(), 10U);

  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_TRUE(log_->ready().is_ok());
  EXPECT_EQ(target_values(), kept);
  target_->set(Fault::kAway);
  ASSERT_TRUE(eventually([&] { return append("k", value).is_ok(); }));
}

TEST_F(SpooledLogTest, WhatWasSentAndFindsNoRoomMayBeThereAndTheAnswerSaysSo) {
  spool_.pages_max = 30;
  open(Fault::kAckLost, false);
  const std::string large(400'000, 'x');
  const Status sent = append("k", large).status();
  EXPECT_EQ(sent.code(), Code::kIo) << sent.to_string();
  EXPECT_THAT(sent.message(), HasSubstr("Kafka may have it all the same"));
  EXPECT_TRUE(target_values() == std::vector<std::string>{large});
  target_->set_honest(true);
  ASSERT_TRUE(becomes(OutboxState::kSpooling));
  const Status kept_here = append("k", large).status();
  EXPECT_EQ(kept_here.code(), Code::kIo) << kept_here.to_string();
  EXPECT_THAT(kept_here.message(), Not(HasSubstr("may have it")));
}

TEST_F(SpooledLogTest, ADiskThatIsFullIsAnIoErrorAndDoesNotConcernATargetThatIsThere) {
  spool_.pages_max = 30;
  open(Fault::kAway);
  const std::string value(9'000, 'x');
  Status refusal;
  size_t kept = 0;
  for (; kept < 100 && refusal.is_ok(); ++kept) refusal = append("k", value).status();
  EXPECT_EQ(refusal.code(), Code::kIo) << refusal.to_string();
  EXPECT_EQ(log_->ready().code(), Code::kIo);
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_TRUE(log_->ready().is_ok());
  EXPECT_EQ(append("k", value).value().at(0).partition, 0);
  EXPECT_THAT(target_values(), SizeIs(kept));
}

TEST_F(SpooledLogTest, NewEventsAreRefusedWhileTheOldestIsOlderThanTheLimit) {
  options_.age_s_max = 3600;
  open_with(manual_clock_, Fault::kAway);
  EXPECT_TRUE(append("k", "a").is_ok());
  ASSERT_TRUE(eventually([&] { return status().oldest_us.has_value(); }));
  EXPECT_EQ(status().oldest_us, manual_clock_.now_us());
  EXPECT_TRUE(append("k", "b").is_ok());
  log_->close();  // the clock is not for several threads
  manual_clock_.advance_us(3'601'000'000);
  open_with(manual_clock_, Fault::kAway);
  ASSERT_TRUE(eventually([&] { return status().oldest_us.has_value(); }));
  const Status refusal = append("k", "c").status();
  EXPECT_EQ(refusal.code(), Code::kOverloaded);
  EXPECT_THAT(refusal.message(), HasSubstr("kafka.outbox_age_s_max"));
  EXPECT_EQ(log_->ready().code(), Code::kOverloaded);
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_TRUE(append("k", "d").is_ok());
  EXPECT_THAT(target_values(), ElementsAre("a", "b", "d"));
}

TEST_F(SpooledLogTest, CloseWhileTheTargetHangsPutsWhatItHasIntoTheSpool) {
  open(Fault::kNone, false);
  target_->set(Fault::kHangs);
  auto answers = append_all("k", {"1", "2"});
  log_->close();
  for (auto& answer : answers) {
    EXPECT_EQ(answer.get().value().at(0).partition, kOutboxPartition);
  }
  EXPECT_EQ(append("k", "late").status().code(), Code::kCancelled);
  reopen();
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), ElementsAre("1", "2"));
}

TEST_F(SpooledLogTest, UnderSteadyLoadItFindsBackToTheTarget) {
  open(Fault::kAway);
  target_->set_delay_us(100);
  std::atomic<bool> over = false;
  std::vector<std::thread> clients;
  for (int t = 0; t < 4; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; !over; ++i) {
        EXPECT_TRUE(append("k" + std::to_string(t), std::to_string(i)).is_ok());
      }
    });
  }
  ASSERT_TRUE(eventually([&] { return status().waiting_records > 300; }));
  target_->set(Fault::kNone);
  EXPECT_TRUE(becomes(OutboxState::kDirect));
  over = true;
  for (std::thread& client : clients) client.join();
}

TEST_F(SpooledLogTest, SlowDrainingHoldsNobodyUpForLong) {
  options_.return_ms_max = 100;
  options_.batch_records_max = 1;
  open(Fault::kAway);
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(append("k", std::to_string(i)).is_ok());
  target_->set_delay_us(20'000);
  target_->set(Fault::kNone);
  ASSERT_TRUE(eventually([&] { return status().forwarded > 0; }));
  // The target takes 400 ms for the rest; an append meanwhile is the disk's.
  EXPECT_EQ(append("k", "20").value().at(0).partition, kOutboxPartition);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), SizeIs(21));
}

TEST_F(SpooledLogTest, WhatWaitsIsSentInLargeBatchesOnceTheTargetIsBack) {
  open(Fault::kAway);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(append("k", std::to_string(i)).is_ok());
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_THAT(target_values(), SizeIs(100));
  // One batch is what was there when the target was first tried, the other all the rest.
  EXPECT_GE(target_->largest_append(), 49U);
}

TEST_F(SpooledLogTest, WhatWasDeliveredIsDeletedAndTheDiskGetsItsSpaceBack) {
  open(Fault::kAway);
  const std::string value(100'000, 'x');
  for (int i = 0; i < 25; ++i) {
    ASSERT_TRUE(append_and_wait(*log_, std::vector<NewRecord>(10, {"k", value, {}})).is_ok());
  }
  EXPECT_GT(status().bytes_used, 25'000'000);
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  EXPECT_TRUE(eventually([&] { return status().bytes_used < 300'000; }));
  EXPECT_TRUE(eventually([&] { return std::filesystem::file_size(spool_.file) < 1'000'000; }));
  target_->set(Fault::kAway);
  EXPECT_TRUE(append("k", "after").is_ok());
  EXPECT_EQ(status().waiting_records, 1);
}

TEST_F(SpooledLogTest, ChangesAreToldOnce) {
  open();
  EXPECT_TRUE(append("k", "a").is_ok());
  EXPECT_THAT(changes(), IsEmpty());
  target_->set(Fault::kAway);
  ASSERT_TRUE(becomes(OutboxState::kSpooling));
  EXPECT_TRUE(append("k", "b").is_ok());
  ASSERT_TRUE(eventually([&] { return !changes().empty(); }));
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  ASSERT_TRUE(eventually([&] { return changes().size() == 2; }));
  EXPECT_THAT(changes(), ElementsAre("spooling", "direct"));
}

TEST_F(SpooledLogTest, ATargetThatIsThereAMomentLateIsNoNews) {
  open(Fault::kAway);
  target_->set(Fault::kNone);
  ASSERT_TRUE(becomes(OutboxState::kDirect));
  log_->close();
  EXPECT_THAT(changes(), IsEmpty());
}

TEST_F(SpooledLogTest, ATargetThatStaysAwayIsToldAlsoWhenNothingWaits) {
  options_.stall_ms_max = 50;
  open(Fault::kAway);
  ASSERT_TRUE(eventually([&] { return !changes().empty(); }));
  EXPECT_EQ(status().waiting_records, 0);
}

}  // namespace
}  // namespace ca4::log
