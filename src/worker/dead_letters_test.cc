#include "worker/dead_letters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "log/wire_values.h"
#include "worker/fake_ports.h"
#include "worker/test_support.h"

namespace ca4::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class DeadLettersTest : public ::testing::Test {
 protected:
  void kill(int64_t offset, const std::string& key) {
    kill(offset, key, make_record(key, 1).value);
  }
  void kill(int64_t offset, const std::string& key, const std::string& value) {
    const log::Record failed{{2, offset}, 0, key, value, {{"trace", "t"}}};
    const log::NewRecord letter = make_dead_letter(failed, "topic", {"store", "why"}, 0);
    ASSERT_TRUE(log::append_and_wait(dead_, {letter}));
  }
  Status send(const DeadLetter& letter) {
    const Status fault = fault_ ? fault_(letter) : Status::ok();
    if (fault.is_ok()) sent_.push_back(letter.key);
    return fault;
  }
  ReplayReport run() {
    ReplayReport report;
    const auto resend = [this](const DeadLetter& letter) { return send(letter); };
    const auto consumer = dead_.consumer(kReplayGroup).value();
    status_ = replay_new(unread(*consumer, kReplayGroup), *consumer, resend, report);
    return report;
  }
  ReplayReport run(const std::vector<std::string>& selectors) {
    ReplayReport report;
    const auto reader = dead_.consumer("reader").value();
    const auto resend = [this](const DeadLetter& letter) { return send(letter); };
    status_ = replay_chosen(unread(*reader, "reader"), selectors, resend, report);
    return report;
  }
  log::NextRecords unread(log::Consumer& consumer, const std::string& group) {
    return log::read_until(consumer, dead_.lag(group).value());
  }

  FakeLog dead_{"topic.dlq"};
  std::vector<std::string> sent_;
  std::function<Status(const DeadLetter&)> fault_;
  Status status_;
};

TEST_F(DeadLettersTest, ALetterReadsBackAsWhatFailed) {
  kill(7, "a");
  const DeadLetter letter = read_dead_letter(dead_.at(0));
  EXPECT_EQ(letter.name(), "2:7");
  EXPECT_EQ(letter.source_topic, "topic");
  EXPECT_EQ(letter.stage, "store");
  EXPECT_EQ(letter.reason, "why");
  EXPECT_EQ(letter.failed_at, "1970-01-01T00:00:00.000000Z");
  EXPECT_EQ(letter.key, "a");
  EXPECT_EQ(letter.value, make_record("a", 1).value);
  EXPECT_THAT(letter.headers, ElementsAre(Pair("trace", "t")));
}

TEST_F(DeadLettersTest, AnEventThatSaysNoVersionKeepsItsPlaceInTimeWhenItIsReplayed) {
  const std::string json = R"({"metadata_id":"a","embedding":[1]})";
  const log::Record failed{{2, 7}, 1'600'000'000'000'000, "a", json, {{"theirs", "t"}}};
  ASSERT_TRUE(
      log::append_and_wait(dead_, {make_dead_letter(failed, "topic", {"store", "why"}, 0)}));
  const log::NewRecord again = make_replayed(read_dead_letter(dead_.at(0)));
  event::ValueReader reader;
  const auto read = [&](const log::Headers& headers, int64_t appended_at_us) {
    return reader.read(json, log::origin_of(headers, appended_at_us)).value().version;
  };
  EXPECT_EQ(read(again.headers, 1'700'000'000'000'000),
            read(failed.headers, failed.appended_at_us));
  // One that says it is left as it is.
  const log::Headers told = {{event::kVersionHeader, "5"}};
  EXPECT_EQ(make_dead_letter({{2, 7}, 6, "a", json, told}, "topic", {}, 0).headers.size(), 7U);
}

TEST_F(DeadLettersTest, ARecordThatIsNoLetterOfOursIsStillShown) {
  ASSERT_TRUE(log::append_and_wait(dead_, {{"k", "v", {{"reason", "somebody's"}}}}));
  const DeadLetter letter = read_dead_letter(dead_.at(0));
  EXPECT_FALSE(letter.source);
  EXPECT_EQ(letter.name(), "dlq:0:0");
  EXPECT_THAT(letter.headers, ElementsAre(Pair("reason", "somebody's")));
}

TEST_F(DeadLettersTest, LettersOfOneRecordAreOne) {
  kill(7, "a");
  kill(7, "a");
  kill(8, "a");
  std::vector<std::string> names;
  auto reader = dead_.consumer("reader").value();
  ASSERT_TRUE(visit_dead_letters(unread(*reader, "reader"), [&](const DeadLetter& letter) {
                names.push_back(letter.name());
                return true;
              }).is_ok());
  EXPECT_THAT(names, ElementsAre("2:7", "2:8"));
}

TEST_F(DeadLettersTest, AnotherRecordThatGotTheSameOffsetInANewLogIsAnotherLetter) {
  kill(7, "a");
  kill(7, "b");
  EXPECT_EQ(run().replayed, 2U);
  EXPECT_THAT(sent_, ElementsAre("a", "b"));
}

TEST_F(DeadLettersTest, ReplaySendsEachLetterOnceAndOnlyNewOnesTheNextTime) {
  kill(1, "a");
  kill(2, "b");
  kill(1, "a");
  EXPECT_EQ(run().replayed, 2U);
  EXPECT_THAT(sent_, ElementsAre("a", "b"));
  EXPECT_EQ(run().replayed, 0U);
  kill(3, "c");
  EXPECT_EQ(run().replayed, 1U);
  EXPECT_THAT(sent_, ElementsAre("a", "b", "c"));
}

TEST_F(DeadLettersTest, ChosenLettersAreSentAndTheOthersStayToBeReplayed) {
  kill(1, "a");
  kill(2, "b");
  kill(3, "c");
  const ReplayReport report = run({"2:3", "b", "nowhere"});
  EXPECT_EQ(report.replayed, 2U);
  EXPECT_THAT(report.not_found, ElementsAre("nowhere"));
  EXPECT_THAT(sent_, ElementsAre("b", "c"));
  EXPECT_EQ(dead_.committed(kReplayGroup), 0);
}

TEST_F(DeadLettersTest, ARefusedLetterIsReportedAndDoesNotStopTheOthers) {
  kill(1, "bad");
  kill(2, "b");
  fault_ = [](const DeadLetter& letter) {
    return letter.key == "bad" ? Status(Code::kInvalidArgument, "422") : Status::ok();
  };
  const ReplayReport report = run();
  EXPECT_TRUE(status_.is_ok());
  EXPECT_EQ(report.replayed, 1U);
  EXPECT_THAT(report.refused, ElementsAre(Pair("2:1", "422")));
}

TEST_F(DeadLettersTest, ALetterThatIsNoEventIsNotSentRoundInCircles) {
  kill(1, "a", "no event");
  kill(2, "b");
  const ReplayReport report = run();
  ASSERT_EQ(report.refused.size(), 1U);
  EXPECT_EQ(report.refused[0].first, "2:1");
  EXPECT_THAT(sent_, ElementsAre("b"));
  EXPECT_EQ(dead_.committed(kReplayGroup), 2);
}

TEST_F(DeadLettersTest, AFailureHalfWayKeepsWhatWasSentAndTheNextReplayGoesOnThere) {
  for (int64_t i = 0; i < 3; ++i) kill(i, std::string(1, static_cast<char>('a' + i)));
  fault_ = [](const DeadLetter& letter) {
    return letter.key == "b" ? Status(Code::kUnavailable, "connection refused") : Status::ok();
  };
  EXPECT_EQ(run().replayed, 1U);
  EXPECT_EQ(status_.code(), Code::kUnavailable);
  fault_ = nullptr;
  run();
  EXPECT_THAT(sent_, ElementsAre("a", "b", "c"));
}

TEST_F(DeadLettersTest, AReplayedRecordIsTheOriginalAndSaysWhereItComesFrom) {
  kill(5, "a");
  const log::NewRecord record = make_replayed(read_dead_letter(dead_.at(0)));
  EXPECT_EQ(record.key, "a");
  EXPECT_EQ(record.value, make_record("a", 1).value);
  EXPECT_THAT(record.headers, ElementsAre(Pair("trace", "t"), Pair("replayed_from", "2:5")));
}

TEST(ToRequestJson, IsThePayloadWithTheCompactEmbedding) {
  DeadLetter letter;
  letter.value = event::encode(make_event("img-1", 1));
  const auto json = to_request_json(letter);
  ASSERT_TRUE(json) << json.status().to_string();
  EXPECT_EQ(*json,
            R"({"metadata_id":"img-1","source_uri":null,"embedding_dim":2,"gpu_hardware":null,)"
            R"("extra":{"pipeline":"test"},"embedding_b64":"AABAQAAAgEA="})");
}

TEST(ToRequestJson, AValueThatIsNoEventIsCorruption) {
  DeadLetter letter;
  letter.value = "something else";
  EXPECT_EQ(to_request_json(letter).status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace ca4::worker
