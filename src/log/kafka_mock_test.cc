// The Kafka log against librdkafka's own cluster in memory, which fails on demand. What real
// brokers do is in kafka_broker_test.cc.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <spdlog/spdlog.h>
#include <zstd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <random>
#include <regex>
#include <thread>

#include "log/kafka_log.h"

namespace ca4::log {
namespace {

using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::Pair;

// What libzstd was told and took.
std::mutex zstd_mutex;
std::vector<std::pair<ZSTD_cParameter, int>> zstd_told;
std::vector<const ZSTD_CCtx*> zstd_kept;  // whose next use was prepared

constexpr const char* kTopic = "t";
// The requests' numbers in Kafka's protocol.
constexpr int16_t kProduce = 0;
constexpr int16_t kOffsetFetch = 9;

bool eventually(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

class KafkaMock : public testing::Test {
 protected:
  KafkaMock() {
    spdlog::set_level(spdlog::level::err);  // brokers fail here all the time
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, [](const rd_kafka_t*, int, const char*, const char*) {});
    char why[512];
    host_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    cluster_ = rd_kafka_mock_cluster_new(host_, 2);
    rd_kafka_mock_topic_create(cluster_, kTopic, 1, 2);
    options_.bootstrap = rd_kafka_mock_cluster_bootstraps(cluster_);
    options_.topic = kTopic;
    options_.delivery_timeout_ms = 10'000;
  }
  ~KafkaMock() override {
    rd_kafka_mock_cluster_destroy(cluster_);
    rd_kafka_destroy(host_);
  }

  std::unique_ptr<KafkaLog> open() { return KafkaLog::open(options_).value(); }
  void fail_next(rd_kafka_resp_err_t err, size_t times, int16_t request = kProduce) {
    const std::vector<rd_kafka_resp_err_t> errors(times, err);
    rd_kafka_mock_push_request_errors_array(cluster_, request, times, errors.data());
  }
  static Status append(KafkaLog& log, const std::string& value) {
    return append_and_wait(log, {{"key", value, {}}}).status();
  }
  static std::vector<std::string> all_values(KafkaLog& log) {
    std::vector<std::string> values;
    const NextRecords next = read_to_end(log).value();
    for (;;) {
      const std::vector<Record> records = next().value();
      if (records.empty()) return values;
      for (const Record& record : records) values.push_back(record.value);
    }
  }

  rd_kafka_t* host_ = nullptr;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
  KafkaOptions options_;
};

TEST_F(KafkaMock, PassingErrorsAreRetriedInOrder) {
  const auto log = open();
  ASSERT_TRUE(append(*log, "0").is_ok());
  fail_next(RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, 1);
  std::atomic<int> kept = 0;
  for (int i = 1; i < 50; ++i) {
    log->append({{"key", std::to_string(i), {}}},
                [&](const Result<std::vector<Position>>& done) { kept += done.is_ok() ? 1 : 0; });
  }
  EXPECT_TRUE(eventually([&] { return kept == 49; }));
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) expected.push_back(std::to_string(i));
  EXPECT_EQ(all_values(*log), expected);
}

TEST_F(KafkaMock, AProducerThatIsBeyondRepairIsMadeAnew) {
  const auto log = open();
  ASSERT_TRUE(append(*log, "a").is_ok());
  fail_next(RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, 1);
  EXPECT_EQ(append(*log, "b").code(), Code::kUnavailable);
  EXPECT_TRUE(eventually([&] { return append(*log, "c").is_ok(); }));
  EXPECT_EQ(all_values(*log).back(), "c");
  EXPECT_EQ(log->queue_depth(), 0U);
}

TEST_F(KafkaMock, ARequestThatIsTooLargeIsSentAgainInSmallerOnesAndInOrder) {
  options_.linger_ms = 100;
  const auto log = open();
  ASSERT_TRUE(append(*log, "0").is_ok());
  fail_next(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 2);
  std::atomic<int> kept = 0;
  std::vector<std::string> expected = {"0"};
  for (int i = 1; i < 200; ++i) {
    expected.push_back(std::to_string(i));
    log->append({{"key", expected.back(), {}}},
                [&](const Result<std::vector<Position>>& done) { kept += done.is_ok() ? 1 : 0; });
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(eventually([&] { return kept == 199; }));
  EXPECT_EQ(all_values(*log), expected);
  EXPECT_EQ(log->queue_depth(), 0U);
}

// It is refused as often as less can go together, and then it is known to be alone.
TEST_F(KafkaMock, ARecordThatIsTooLargeAloneIsRefused) {
  const auto log = open();
  ASSERT_TRUE(append(*log, "0").is_ok());
  fail_next(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 1);
  EXPECT_EQ(append(*log, std::string(1'000'000, 'x')).code(), Code::kTooLarge);
  fail_next(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, 100);
  EXPECT_EQ(append(*log, "small, and to a topic that takes nothing").code(), Code::kTooLarge);
}

TEST_F(KafkaMock, WhatTheBrokersDoNotTakeInTimeIsUnavailable) {
  options_.delivery_timeout_ms = 1'000;
  const auto log = open();
  ASSERT_TRUE(append(*log, "a").is_ok());
  for (int broker = 1; broker <= 2; ++broker) rd_kafka_mock_broker_set_down(cluster_, broker);
  const auto start = std::chrono::steady_clock::now();
  const Status refused = append(*log, "b");
  EXPECT_EQ(refused.code(), Code::kUnavailable);
  EXPECT_THAT(refused.message(), HasSubstr("do not answer"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(900));
  EXPECT_TRUE(eventually([&] { return !log->ready().is_ok(); }));
  EXPECT_FALSE(log->lag("group").is_ok());

  for (int broker = 1; broker <= 2; ++broker) rd_kafka_mock_broker_set_up(cluster_, broker);
  EXPECT_TRUE(eventually([&] { return log->ready().is_ok(); }));
  EXPECT_TRUE(eventually([&] { return append(*log, "c").is_ok(); }));
}

TEST_F(KafkaMock, TheLagIsToldAlsoWhileAGroupsCoordinatorMoves) {
  const std::unique_ptr<KafkaLog> log = open();
  ASSERT_TRUE(append(*log, "1").is_ok());
  fail_next(RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 2, kOffsetFetch);
  const Result<std::vector<PartitionLag>> lag = log->lag("group");
  ASSERT_TRUE(lag) << lag.status().message();
  EXPECT_EQ(lag->at(0).lag(), 1);
}

TEST_F(KafkaMock, ATooSmallSetOfReplicasIsUnavailable) {
  options_.delivery_timeout_ms = 1'000;
  const auto log = open();
  fail_next(RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, 1'000);
  EXPECT_EQ(append(*log, "a").code(), Code::kUnavailable);
}

TEST_F(KafkaMock, AFullQueueRefusesAtOnceAndAnswersEachAppendOnce) {
  options_.bootstrap = "127.0.0.1:1";  // nobody is there
  options_.delivery_timeout_ms = 1'500;
  options_.queue_bytes_max = 100'000;
  options_.queue_records_max = 1'000;
  const auto log = open();
  std::atomic<int> overloaded = 0;
  std::atomic<int> unavailable = 0;
  for (int i = 0; i < 150; ++i) {
    log->append({{"k", std::string(1'000, 'x'), {}}},
                [&](const Result<std::vector<Position>>& done) {
                  if (done.status().code() == Code::kOverloaded) ++overloaded;
                  if (done.status().code() == Code::kUnavailable) ++unavailable;
                });
  }
  EXPECT_EQ(overloaded, 51);  // 99 of 1001 bytes fit
  EXPECT_EQ(unavailable, 0);
  EXPECT_EQ(log->queue_depth(), 99U);
  EXPECT_TRUE(eventually([&] { return unavailable == 99; }));
  EXPECT_EQ(log->queue_depth(), 0U);
  EXPECT_EQ(append_and_wait(*log, {{"k", std::string(100'001, 'x'), {}}}).status().code(),
            Code::kTooLarge);
}

TEST_F(KafkaMock, ARecordOverTheLimitIsKnownBeforeItIsTried) {
  options_.record_bytes_max = 1'000;
  const auto log = open();
  const NewRecord large{"key", std::string(998, 'x'), {}};
  EXPECT_EQ(log->admits(large).code(), Code::kTooLarge);
  EXPECT_THAT(log->admits(large).message(), HasSubstr("kafka.record_bytes_max"));
  EXPECT_EQ(append(*log, large.value).code(), Code::kTooLarge);
  EXPECT_TRUE(log->admits({"key", std::string(997, 'x'), {}}).is_ok());
  EXPECT_TRUE(append(*log, std::string(997, 'x')).is_ok());
}

TEST_F(KafkaMock, CloseWaitsNoLongerThanTheBrokersMayTake) {
  options_.bootstrap = "127.0.0.1:1";
  options_.delivery_timeout_ms = 1'000;
  const auto log = open();
  Status answer;
  log->append({{"k", "v", {}}},
              [&](const Result<std::vector<Position>>& done) { answer = done.status(); });
  log->close();
  EXPECT_EQ(answer.code(), Code::kUnavailable);
  EXPECT_EQ(append(*log, "late").code(), Code::kCancelled);
}

TEST_F(KafkaMock, ALogForReadingTakesNothing) {
  options_.appends = false;
  const auto log = open();
  EXPECT_EQ(append(*log, "a").code(), Code::kInvalidArgument);
  EXPECT_TRUE(eventually([&] { return log->ready().is_ok(); }));
}

TEST_F(KafkaMock, WhatLibrdkafkaDoesNotTakeIsAConfigurationError) {
  options_.compression = "brotli";
  const Status status = KafkaLog::open(options_).status();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr("brotli"));
}

TEST_F(KafkaMock, ZstdLooksLessHardForWhatComesAgain) {
  {
    const std::lock_guard lock(zstd_mutex);
    zstd_told.clear();
  }
  ASSERT_TRUE(append(*open(), std::string(1'000, '7')).is_ok());
  const std::lock_guard lock(zstd_mutex);
  EXPECT_THAT(zstd_told, Contains(Pair(ZSTD_c_experimentalParam5, 1))) << "digits are not packed";
  EXPECT_THAT(zstd_told, Contains(Pair(ZSTD_c_targetLength, 8)));
  EXPECT_THAT(zstd_told, Contains(Pair(ZSTD_c_hashLog, 11)));
}

TEST_F(KafkaMock, ZstdHasOneStreamForAllRequestsToABroker) {
  const auto log = open();
  {
    const std::lock_guard lock(zstd_mutex);
    zstd_kept.clear();
  }
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append(*log, std::string(1'000, '7')).is_ok());
  EXPECT_EQ(all_values(*log), std::vector<std::string>(5, std::string(1'000, '7')));
  const std::lock_guard lock(zstd_mutex);
  ASSERT_EQ(zstd_kept.size(), 5U);
  EXPECT_THAT(zstd_kept, Each(zstd_kept.front()));
}

// Text of digits, as embeddings are in JSON, unpacks to 2.4 times its size.
TEST_F(KafkaMock, WhatZstdMadeLessThanHalfAsLargeIsUnpackedOnce) {
  std::mt19937 random(7);
  std::string digits;
  for (int i = 0; i < 100'000; ++i) digits += static_cast<char>('0' + random() % 10);
  ASSERT_TRUE(append(*open(), digits).is_ok());

  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char why[512];
  std::string stats;
  rd_kafka_conf_set_opaque(conf, &stats);
  rd_kafka_conf_set_stats_cb(conf, [](rd_kafka_t*, char* json, size_t bytes, void* told) {
    static_cast<std::string*>(told)->assign(json, bytes);
    return 0;
  });
  rd_kafka_conf_set(conf, "bootstrap.servers", options_.bootstrap.c_str(), why, sizeof why);
  rd_kafka_conf_set(conf, "statistics.interval.ms", "100", why, sizeof why);
  const std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)> client(
      rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why), rd_kafka_destroy);
  ASSERT_NE(client, nullptr) << why;
  rd_kafka_topic_t* topic = rd_kafka_topic_new(client.get(), kTopic, nullptr);
  rd_kafka_consume_start(topic, 0, RD_KAFKA_OFFSET_BEGINNING);
  rd_kafka_message_t* message = rd_kafka_consume(topic, 0, 30'000);
  ASSERT_NE(message, nullptr);
  EXPECT_EQ(std::string(static_cast<const char*>(message->payload), message->len), digits);
  rd_kafka_message_destroy(message);
  EXPECT_TRUE(eventually([&] {  // counted after the message came
    rd_kafka_poll(client.get(), 10);
    return std::regex_search(stats, std::regex(R"("rxmsgs":1\b)"));
  })) << stats;
  EXPECT_FALSE(std::regex_search(stats, std::regex(R"("zbuf_grow":[1-9])"))) << stats;
  rd_kafka_consume_stop(topic, 0);
  rd_kafka_topic_destroy(topic);
}

// The brokers of this cluster call themselves 127.0.0.1:PORT: two of three names below are
// nobody's.
TEST_F(KafkaMock, BrokersAreFoundWhereTheMapSays) {
  const std::string real = options_.bootstrap.substr(0, options_.bootstrap.find(','));
  options_.bootstrap = "kafka.ca4.invalid:9092";
  options_.broker_map = BrokerMap::parse("kafka.ca4.invalid:9092=" + real).value();
  const auto log = open();
  EXPECT_TRUE(append(*log, "a").is_ok());
}

}  // namespace
}  // namespace ca4::log

// As libzstd's, which it goes before in this program.
extern "C" size_t ZSTD_CCtx_setParameter(ZSTD_CCtx* context, ZSTD_cParameter name, int value) {
  static auto* const zstd = reinterpret_cast<decltype(&ZSTD_CCtx_setParameter)>(
      dlsym(RTLD_NEXT, "ZSTD_CCtx_setParameter"));
  const size_t done = zstd(context, name, value);
  const std::lock_guard lock(ca4::log::zstd_mutex);
  if (ZSTD_isError(done) == 0) ca4::log::zstd_told.emplace_back(name, value);
  return done;
}

extern "C" size_t ZSTD_CCtx_reset(ZSTD_CCtx* context, ZSTD_ResetDirective what) {
  static auto* const zstd =
      reinterpret_cast<decltype(&ZSTD_CCtx_reset)>(dlsym(RTLD_NEXT, "ZSTD_CCtx_reset"));
  const size_t done = zstd(context, what);
  const std::lock_guard lock(ca4::log::zstd_mutex);
  const bool kept = what == ZSTD_reset_session_and_parameters && ZSTD_isError(done) == 0;
  if (kept) ca4::log::zstd_kept.push_back(context);
  return done;
}
