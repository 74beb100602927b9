#include "log/broker_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ca4::log {
namespace {

using testing::HasSubstr;

std::string reached(const BrokerMap& map, std::string_view host, std::string_view port) {
  const std::optional<BrokerAddress> to = map.find(host, port);
  return to ? to->host + " " + to->port : "itself";
}

TEST(BrokerMap, AnEmptyOneLeavesEveryAddressAsItIs) {
  const BrokerMap map = BrokerMap::parse("").value();
  EXPECT_TRUE(map.empty());
  EXPECT_EQ(reached(map, "kafka-0", "9092"), "itself");
}

TEST(BrokerMap, EachBrokerHasItsOwnTunnel) {
  const BrokerMap map =
      BrokerMap::parse("kafka-0.kafka:9092=127.0.0.1:19092,kafka-1.kafka:9092=localhost:19093")
          .value();
  EXPECT_FALSE(map.empty());
  EXPECT_EQ(reached(map, "kafka-0.kafka", "9092"), "127.0.0.1 19092");
  EXPECT_EQ(reached(map, "KAFKA-1.Kafka", "9092"), "localhost 19093");
  EXPECT_EQ(reached(map, "kafka-0.kafka", "9093"), "itself");
  EXPECT_EQ(reached(map, "kafka-2.kafka", "9092"), "itself");
}

TEST(BrokerMap, AStarStandsForWhatHasNoEntryOfItsOwn) {
  const BrokerMap map = BrokerMap::parse("*=127.0.0.1:1,kafka-0:9092=127.0.0.1:2").value();
  EXPECT_EQ(reached(map, "kafka-0", "9092"), "127.0.0.1 2");
  EXPECT_EQ(reached(map, "kafka", "9092"), "127.0.0.1 1");
}

TEST(BrokerMap, AddressesMayBeOfIpv6) {
  const BrokerMap map = BrokerMap::parse("[fd00::1]:9092=[::1]:19092").value();
  EXPECT_EQ(reached(map, "fd00::1", "9092"), "::1 19092");
}

TEST(BrokerMap, SaysWhichEntryIsWrongAndWhy) {
  const std::pair<const char*, const char*> cases[] = {
      {"kafka:9092", "'kafka:9092': expected ADVERTISED=REACHED"},
      {"kafka=localhost:1", "left"},
      {"kafka:9092=localhost", "right"},
      {"kafka:0=localhost:1", "left"},
      {"kafka:9092=localhost:65536", "right"},
      {"kafka:9092=fd00::1:9092", "right"},
      {"kafka:9092=*:1", "right"},
      {"=localhost:1", "left"},
      {":9092=localhost:1", "left"},
      {"a:1=b:2,,c:3=d:4", "''"},
      {"a:1=b:2,a:1=c:3", "'a:1=c:3': this broker is given more than once"},
      {"*=b:2,*=c:3", "more than once"},
      {"a b:1=c:2", "left"},
  };
  for (const auto& [text, why] : cases) {
    const Status status = BrokerMap::parse(text).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_THAT(status.message(), HasSubstr(why)) << text;
  }
}

}  // namespace
}  // namespace ca4::log
