// The conformance suite and what only a real broker shows. Not among the unit tests: it takes the
// address of a broker from CA4_TEST_KAFKA, and fails without one. tests/test_kafka_log.py starts
// both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/digest.h"
#include "log/event_log_conformance.h"
#include "log/kafka_log.h"
#include "log/kafka_topics.h"

namespace ca4::log {
namespace {

std::string bootstrap() {
  const char* address = std::getenv("CA4_TEST_KAFKA");
  return address == nullptr ? "" : address;
}

// Topics of this program only, so that it can run beside others on one broker.
std::string fresh_name() {
  static int made = 0;
  return "test-" + std::to_string(getpid()) + "-" + std::to_string(made++);
}

std::string fresh_topic(int partitions, int64_t record_bytes_max = 16 << 20) {
  const std::string name = fresh_name();
  KafkaOptions options;
  options.bootstrap = bootstrap();
  const Status created =
      KafkaTopics::open(options)
          .value()
          ->create({.name = name, .partitions = partitions, .record_bytes_max = record_bytes_max})
          .status();
  EXPECT_TRUE(created.is_ok()) << created.to_string();
  return name;
}

KafkaOptions options_for(const std::string& topic) {
  KafkaOptions options;
  options.bootstrap = bootstrap();
  options.topic = topic;
  options.delivery_timeout_ms = 30'000;  // a busy machine is no reason to fail
  return options;
}

class KafkaUnderTest final : public LogUnderTest {
 public:
  std::unique_ptr<EventLog> open() override {
    if (topic_.empty()) topic_ = fresh_topic(1);
    return KafkaLog::open(options_for(topic_)).value();
  }
  // As large as the broker's disk.
  std::unique_ptr<EventLog> open_bounded(size_t) override { return nullptr; }
  bool durable() const override { return true; }

 private:
  std::string topic_;
};

INSTANTIATE_TEST_SUITE_P(Kafka, EventLogConformance,
                         testing::Values(+[]() -> std::unique_ptr<LogUnderTest> {
                           return std::make_unique<KafkaUnderTest>();
                         }),
                         [](const auto&) { return "log"; });

// One record a key, so that they are spread over the partitions.
void append_keys(EventLog& log, int from, int to) {
  std::vector<NewRecord> batch;
  for (int i = from; i < to; ++i) batch.push_back({std::to_string(i), std::to_string(i), {}});
  ASSERT_TRUE(append_and_wait(log, std::move(batch)).is_ok());
}

std::unique_ptr<Consumer> consumer_of(EventLog& log, const std::string& group) {
  return std::move(log.consumer(group)).value();
}

std::vector<Position> after(const std::vector<Record>& records) {
  std::map<int32_t, int64_t> next;
  for (const Record& record : records) {
    next[record.position.partition] = record.position.offset + 1;
  }
  std::vector<Position> positions;
  for (const auto& [partition, offset] : next) positions.push_back({partition, offset});
  return positions;
}

std::vector<PartitionLag> lag_of(EventLog& log, const std::string& group) {
  return log.lag(group).value();
}

int64_t total_lag(EventLog& log, const std::string& group) {
  int64_t total = 0;
  for (const PartitionLag& row : lag_of(log, group)) total += row.lag();
  return total;
}

std::string base64url(std::string_view text) {
  std::string out = base64(std::as_bytes(std::span(text)));
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  return out.substr(0, out.find('='));
}

bool eventually(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

// A member that handles what it gets at once, on a thread of its own.
class Member {
 public:
  Member(EventLog& log, const std::string& group)
      : consumer_(consumer_of(log, group)), thread_([this] { run(); }) {}
  ~Member() { stop(); }
  void stop() {
    stopped_ = true;
    consumer_->interrupt();
    if (thread_.joinable()) thread_.join();
  }
  size_t handled() const { return handled_; }
  // After stop.
  const std::multiset<std::string>& values() const { return values_; }

 private:
  void run() {
    while (!stopped_) {
      const auto records = consumer_->poll({.records_max = 7, .wait_ms_max = 100});
      ASSERT_TRUE(records.is_ok()) << records.status().to_string();
      for (const Record& record : *records) values_.insert(record.value);
      handled_ += records->size();
      if (records->empty()) continue;
      const Status committed = consumer_->commit(after(*records));
      EXPECT_TRUE(committed.is_ok()) << committed.to_string();
    }
  }

  const std::unique_ptr<Consumer> consumer_;
  std::multiset<std::string> values_;
  std::atomic<size_t> handled_ = 0;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

TEST(KafkaGroup, MembersShareThePartitionsAndNothingIsLostAsTheyComeAndGo) {
  const auto log = KafkaLog::open(options_for(fresh_topic(6))).value();
  const std::string group = log->topic();
  std::multiset<std::string> values;
  std::atomic<bool> done = false;
  std::thread appending([&] {
    for (int i = 0; i < 3000; i += 10) {
      append_keys(*log, i, i + 10);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    done = true;
  });
  auto first = std::make_unique<Member>(*log, group);
  ASSERT_TRUE(eventually([&] { return first->handled() > 100; }));
  auto second = std::make_unique<Member>(*log, group);
  ASSERT_TRUE(eventually([&] { return second->handled() > 100; }));
  auto third = std::make_unique<Member>(*log, group);
  ASSERT_TRUE(eventually([&] { return third->handled() > 10 || done; }));
  first->stop();
  values.insert(first->values().begin(), first->values().end());
  first.reset();
  appending.join();
  EXPECT_TRUE(eventually([&] { return total_lag(*log, group) == 0; }));
  for (auto* member : {second.get(), third.get()}) {
    member->stop();
    values.insert(member->values().begin(), member->values().end());
  }
  for (int i = 0; i < 3000; ++i) EXPECT_GE(values.count(std::to_string(i)), 1U) << i;
}

TEST(KafkaGroup, ABatchInHandSurvivesThatItsPartitionsMove) {
  const auto log = KafkaLog::open(options_for(fresh_topic(4))).value();
  const std::string group = log->topic();
  append_keys(*log, 0, 200);
  const auto slow = consumer_of(*log, group);
  const std::vector<Record> in_hand = poll_records(*slow, 200);
  ASSERT_EQ(in_hand.size(), 200U);
  // The other gets half of the partitions, and with them what is not committed.
  const auto other = consumer_of(*log, group);
  std::vector<Record> again = poll_first(*other, {}).value();
  ASSERT_FALSE(again.empty());

  const Status committed = slow->commit(after(in_hand));
  EXPECT_TRUE(committed.is_ok()) << committed.to_string();
  const int64_t left = total_lag(*log, group);
  EXPECT_GT(left, 0);
  EXPECT_LT(left, 200);
  for (const PartitionLag& row : lag_of(*log, group)) {
    EXPECT_TRUE(row.lag() == 0 || row.committed == 0) << row.partition;
  }
  ASSERT_TRUE(other->commit(after(again)).is_ok());
  EXPECT_TRUE(eventually([&] {
    const std::vector<Record> more = other->poll({.wait_ms_max = 100}).value();
    again.insert(again.end(), more.begin(), more.end());
    return other->commit(after(more)).is_ok() && total_lag(*log, group) == 0;
  }));
  EXPECT_EQ(again.size(), static_cast<size_t>(left));
}

TEST(KafkaGroup, MoreMembersThanPartitionsStandBy) {
  const auto log = KafkaLog::open(options_for(fresh_topic(1))).value();
  const std::string group = log->topic();
  std::vector<std::unique_ptr<Member>> members;
  for (int i = 0; i < 4; ++i) members.push_back(std::make_unique<Member>(*log, group));
  append_keys(*log, 0, 50);
  const auto handled = [&] {
    size_t all = 0;
    for (const auto& member : members) all += member->handled();
    return all;
  };
  EXPECT_TRUE(eventually([&] { return handled() >= 50; }));
  // Whoever has the partition goes, one after the other.
  while (members.size() > 1) {
    const auto reader = std::find_if(members.begin(), members.end(),
                                     [](const auto& member) { return member->handled() > 0; });
    ASSERT_NE(reader, members.end());
    members.erase(reader);
    append_keys(*log, 0, 10);
    EXPECT_TRUE(eventually([&] { return total_lag(*log, group) == 0; }));
  }
}

TEST(KafkaGroup, AMemberMayLeaveBeforeItGetsAnything) {
  const auto log = KafkaLog::open(options_for(fresh_topic(3))).value();
  for (int i = 0; i < 5; ++i) consumer_of(*log, log->topic());
  append_keys(*log, 0, 10);
  EXPECT_EQ(poll_records(*consumer_of(*log, log->topic()), 10).size(), 10U);
}

TEST(KafkaTopic, IsNeverMadeByAskingForIt) {
  const std::string topic = fresh_name();
  KafkaOptions options = options_for(topic);
  options.delivery_timeout_ms = 2'000;
  const auto log = KafkaLog::open(options).value();
  const Status refused = append_and_wait(*log, {{"k", "v", {}}}).status();
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_THAT(refused.message(), testing::HasSubstr("ca4 topics ensure"));
  const auto consumer = consumer_of(*log, topic);
  EXPECT_TRUE(eventually([&] { return !consumer->poll({.wait_ms_max = 100}).is_ok(); }));
  EXPECT_THAT(consumer->poll({.wait_ms_max = 100}).status().message(),
              testing::HasSubstr("ca4 topics ensure"));
  EXPECT_TRUE(eventually([&] { return !log->ready().is_ok(); }));
  EXPECT_THAT(log->ready().message(), testing::HasSubstr("ca4 topics ensure"));
  EXPECT_FALSE(log->lag(topic).is_ok());
  EXPECT_FALSE(log->scan(From::kOldest).is_ok());

  const auto topics = KafkaTopics::open(options).value();
  EXPECT_FALSE(topics->describe(topic).value().exists);
  // And once it is there all goes on.
  ASSERT_TRUE(topics->create({.name = topic}).is_ok());
  EXPECT_TRUE(eventually([&] { return append_and_wait(*log, {{"k", "v", {}}}).is_ok(); }));
  EXPECT_TRUE(eventually([&] {
    const auto polled = consumer->poll({.wait_ms_max = 100});
    return polled.is_ok() && !polled->empty();
  }));
  EXPECT_TRUE(eventually([&] { return log->ready().is_ok(); }));
}

TEST(KafkaTopic, ARecordThatTheBrokerDoesNotTakeIsTooLarge) {
  const auto log = KafkaLog::open(options_for(fresh_topic(1, 100'000))).value();
  std::string noise(300'000, 0);  // nothing to compress
  std::mt19937 random(7);
  for (char& c : noise) c = static_cast<char>(random());
  EXPECT_EQ(append_and_wait(*log, {{"k", noise, {}}}).status().code(), Code::kTooLarge);
  EXPECT_TRUE(append_and_wait(*log, {{"k", "small", {}}}).is_ok());
  EXPECT_EQ(append_and_wait(*log, {{"k", std::string(17 << 20, 'x'), {}}}).status().code(),
            Code::kTooLarge);
}

// Each record fits, and what librdkafka would send together does not.
TEST(KafkaTopic, SmallRecordsGetIntoATopicThatTakesOnlySmallRequests) {
  KafkaOptions options = options_for(fresh_topic(1, 20'000));
  options.compression = "none";
  options.linger_ms = 100;
  const auto log = KafkaLog::open(options).value();
  std::vector<NewRecord> batch;
  std::vector<std::string> values;
  for (int i = 0; i < 300; ++i) {
    values.push_back(std::to_string(i) + std::string(3'000, 'x'));
    batch.push_back({"k", values.back(), {}});
  }
  const auto kept = append_and_wait(*log, std::move(batch));
  ASSERT_TRUE(kept.is_ok()) << kept.status().to_string();
  // Some of it may be there twice, but what counts, the last copy of each, is in order.
  std::map<std::string, int64_t> last;
  const NextRecords next = read_to_end(*log).value();
  for (auto some = next().value(); !some.empty(); some = next().value()) {
    for (const Record& record : some) last[record.value] = record.position.offset;
  }
  ASSERT_EQ(last.size(), values.size());
  for (size_t i = 1; i < values.size(); ++i) EXPECT_LT(last[values[i - 1]], last[values[i]]) << i;
  EXPECT_EQ(append_and_wait(*log, {{"k", std::string(30'000, 'x'), {}}}).status().code(),
            Code::kTooLarge);
  EXPECT_TRUE(append_and_wait(*log, {{"k", "last", {}}}).is_ok());
}

TEST(KafkaTopic, GrowsWhileItIsUsed) {
  const std::string topic = fresh_topic(1);
  const auto log = KafkaLog::open(options_for(topic)).value();
  Member member(*log, topic);
  append_keys(*log, 0, 10);
  ASSERT_TRUE(KafkaTopics::open(options_for(topic)).value()->grow(topic, 3).is_ok());
  EXPECT_TRUE(eventually([&] {
    append_keys(*log, 0, 10);
    const auto rows = log->lag(topic);
    if (!rows || rows->size() != 3) return false;
    return std::all_of(rows->begin(), rows->end(),
                       [](const PartitionLag& row) { return row.end > 0 && row.lag() == 0; });
  }));
}

// What the mark at the end of a transaction does to offsets: it takes one, and is no record.
class KafkaTransactions : public testing::Test {
 protected:
  KafkaTransactions() {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char why[512];
    rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap().c_str(), why, sizeof why);
    rd_kafka_conf_set(conf, "transactional.id", topic_.c_str(), why, sizeof why);
    writer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    EXPECT_EQ(rd_kafka_init_transactions(writer_, 60'000), nullptr);
  }
  ~KafkaTransactions() override { rd_kafka_destroy(writer_); }

  void write(std::string value, bool commits) {
    ASSERT_EQ(rd_kafka_begin_transaction(writer_), nullptr);
    ASSERT_EQ(rd_kafka_producev(writer_, RD_KAFKA_V_TOPIC(topic_.c_str()),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_VALUE(value.data(), value.size()), RD_KAFKA_V_END),
              RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(rd_kafka_flush(writer_, 60'000), RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(commits ? rd_kafka_commit_transaction(writer_, 60'000)
                      : rd_kafka_abort_transaction(writer_, 60'000),
              nullptr);
  }

  const std::string topic_ = fresh_topic(1);
  rd_kafka_t* writer_ = nullptr;
};

TEST_F(KafkaTransactions, CommittedRecordsAreReadAndMarksAreNot) {
  write("a", true);
  write("b", false);
  write("c", true);
  const auto log = KafkaLog::open(options_for(topic_)).value();
  const auto consumer = consumer_of(*log, topic_);
  const std::vector<Record> records = poll_records(*consumer, 2);
  EXPECT_THAT(values_of(records), testing::ElementsAre("a", "c"));
  EXPECT_THAT(consumer->poll({.wait_ms_max = 300}).value(), testing::IsEmpty());
  ASSERT_TRUE(consumer->commit(after(records)).is_ok());
  EXPECT_LE(total_lag(*log, topic_), 1);  // the last mark
}

TEST_F(KafkaTransactions, ATopicThatEndsWithAMarkIsReadToItsEnd) {
  write("a", true);
  write("b", false);
  const auto log = KafkaLog::open(options_for(topic_)).value();
  constexpr int64_t kStallMs = 20'000;
  const auto values = [](const NextRecords& next) {
    std::vector<std::string> all;
    for (;;) {
      const Result<std::vector<Record>> records = next();
      EXPECT_TRUE(records.is_ok()) << records.status().to_string();
      if (!records || records->empty()) return all;
      for (const Record& record : *records) all.push_back(record.value);
    }
  };
  EXPECT_THAT(values(read_to_end(*log, kStallMs).value()), testing::ElementsAre("a"));
  auto consumer = consumer_of(*log, topic_);
  EXPECT_THAT(values(read_until(*consumer, lag_of(*log, topic_), kStallMs)),
              testing::ElementsAre("a"));
  ASSERT_TRUE(consumer->commit({{0, 1}}).is_ok());
  consumer.reset();  // and gives its partition away
  const auto later = consumer_of(*log, topic_);
  EXPECT_THAT(values(read_until(*later, lag_of(*log, topic_), kStallMs)), testing::IsEmpty());
}

TEST_F(KafkaTransactions, ATopicThatEndsWithAMarkHasNoNewestRecordThere) {
  write("a", true);
  const auto log = KafkaLog::open(options_for(topic_)).value();
  EXPECT_THAT(log->newest().value(), testing::IsEmpty());
  append_values(*log, {"b"});
  EXPECT_THAT(values_of(log->newest().value()), testing::ElementsAre("b"));
}

// Logs in at CA4_TEST_KAFKA_LOGIN with tokens that the program makes. The broker there takes
// unsigned ones (RFC 7519, "none").
class KafkaOauth : public testing::Test {
 protected:
  void SetUp() override {
    const char* login = std::getenv("CA4_TEST_KAFKA_LOGIN");
    ASSERT_NE(login, nullptr) << "set it to an address that takes OAUTHBEARER";
    options_ = options_for(fresh_name());
    options_.bootstrap = login;
    options_.broker_map = BrokerMap::parse(std::string("*=") + login).value();
    options_.security.protocol = "sasl_plaintext";
    options_.security.mechanism = "OAUTHBEARER";
  }
  static OauthToken token(int64_t made_s, int64_t life_s) {
    const std::string claims = "{\"sub\":\"ann\",\"iat\":" + std::to_string(made_s) +
                               ",\"exp\":" + std::to_string(made_s + life_s) + "}";
    return {base64url("{\"alg\":\"none\"}") + "." + base64url(claims) + ".",
            (made_s + life_s) * 1000, "ann"};
  }
  KafkaOptions options_;
};

TEST_F(KafkaOauth, TokensComeFromTheirSourceAndAreMadeAgainBeforeTheyExpire) {
  std::atomic<int> made = 0;
  options_.security.token_source = [&]() -> Result<OauthToken> {
    if (made++ == 0) return Status(Code::kUnavailable, "not yet");
    return token(std::time(nullptr), 10);
  };
  ASSERT_TRUE(KafkaTopics::open(options_).value()->create({.name = options_.topic}).is_ok());
  const auto log = KafkaLog::open(options_).value();
  EXPECT_TRUE(append_and_wait(*log, {{"k", "v", {}}}).is_ok());
  const int before = made;
  EXPECT_TRUE(eventually([&] { return made > before; }));
  EXPECT_TRUE(append_and_wait(*log, {{"k", "v", {}}}).is_ok());
}

TEST_F(KafkaOauth, ATokenThatTheBrokerRefusesIsMadeAgain) {
  constexpr int kClients = 2;  // of a log: producer and watch
  std::atomic<int> made = 0;
  options_.security.token_source = [&]() -> Result<OauthToken> {
    const int64_t ahead_s = made++ < kClients ? 3600 : 0;
    return token(std::time(nullptr) + ahead_s, 3600);
  };
  const auto log = KafkaLog::open(options_).value();
  ASSERT_TRUE(eventually([&] { return made == 2 * kClients; }));
  ASSERT_TRUE(KafkaTopics::open(options_).value()->create({.name = options_.topic}).is_ok());
  EXPECT_TRUE(append_and_wait(*log, {{"k", "v", {}}}).is_ok());
}

}  // namespace
}  // namespace ca4::log

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  if (!ca4::log::bootstrap().empty()) return RUN_ALL_TESTS();
  std::fputs("set CA4_TEST_KAFKA to the address of a Kafka broker\n", stderr);
  return 1;
}
