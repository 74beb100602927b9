// The conformance suite and what only a real broker shows. Not among the unit tests: it takes the
// address of a broker from CA4_TEST_KAFKA, and fails without one. tests/test_kafka_log.py starts
// both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>

#include "log/event_log_conformance.h"
#include "log/kafka_log.h"
#include "log/kafka_topics.h"

namespace ca4::log {
namespace {

std::string bootstrap() {
  const char* address = std::getenv("CA4_TEST_KAFKA");
  return address == nullptr ? "" : address;
}

std::string fresh_topic(int partitions) {
  static int made = 0;
  const std::string name = "test-" + std::to_string(getpid()) + "-" + std::to_string(made++);
  KafkaOptions options;
  options.bootstrap = bootstrap();
  auto topics = KafkaTopics::open(options);
  EXPECT_TRUE(topics.is_ok()) << topics.status().to_string();
  const Status created =
      (*topics)->create({.name = name, .partitions = partitions, .record_bytes_max = 16 << 20});
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
    EXPECT_FALSE(bootstrap().empty()) << "set CA4_TEST_KAFKA to the address of a broker";
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

}  // namespace
}  // namespace ca4::log
