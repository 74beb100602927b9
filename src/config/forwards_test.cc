#include "config/forwards.h"

#include <gtest/gtest.h>

namespace ca4::config {
namespace {

TEST(Forwards, ThreeOfTheContractHaveTheirProbes) {
  const auto read =
      parse_forwards("9092:kafka:9092,16443:k3s-api:6443, 3000:grafana:3000 ,5432:db:5432");
  ASSERT_TRUE(read) << read.status().to_string();
  ASSERT_EQ(read->size(), 4U);
  EXPECT_EQ(read->at(0).local_port, 9092);
  EXPECT_EQ(read->at(0).target(), "kafka:9092");
  EXPECT_EQ(read->at(0).probe, Probe::kKafka);
  EXPECT_EQ(read->at(1).local_port, 16443);
  EXPECT_EQ(read->at(1).probe, Probe::kHttps);
  EXPECT_EQ(read->at(1).path, "/livez");
  EXPECT_EQ(read->at(2).probe, Probe::kHttp);
  EXPECT_EQ(read->at(2).path, "/api/health");
  EXPECT_EQ(read->at(3).probe, Probe::kTcp);
}

TEST(Forwards, AProbeThatIsGivenHolds) {
  const auto read =
      parse_forwards("1:a:9092=tls,2:b:1=kafka,3:c:1=http,4:d:1=https/x?y=1,5:[fd00::1]:9092=tcp");
  ASSERT_TRUE(read) << read.status().to_string();
  EXPECT_EQ(read->at(0).probe, Probe::kTls);
  EXPECT_EQ(read->at(1).probe, Probe::kKafka);
  EXPECT_EQ(read->at(2).path, "/");
  EXPECT_EQ(read->at(3).path, "/x?y=1");
  EXPECT_EQ(read->at(4).host, "fd00::1");
  EXPECT_EQ(read->at(4).target(), "[fd00::1]:9092");
}

TEST(Forwards, RefusalsNameTheEntryAndTheReason) {
  const auto why = [](std::string_view text) {
    const auto read = parse_forwards(text);
    return read ? std::string("taken") : read.status().message();
  };
  const std::string form = "expected LOCAL:HOST:PORT[=PROBE]";
  EXPECT_EQ(why(""), "'': " + form);
  EXPECT_EQ(why("9092:kafka"), "'9092:kafka': " + form);
  EXPECT_EQ(why("1:a:2,"), "'': " + form);
  EXPECT_EQ(why("0:a:2"), "'0:a:2': " + form + ", ports from 1 to 65535");
  EXPECT_EQ(why("70000:a:2"), "'70000:a:2': " + form + ", ports from 1 to 65535");
  EXPECT_EQ(why("1:-oProxyCommand=x:2"), "'1:-oProxyCommand=x:2': " + form);
  EXPECT_EQ(why("1:-x:2"), "'1:-x:2': " + form + ", '-x' is no host");
  EXPECT_EQ(why("1:a b:2"), "'1:a b:2': " + form + ", 'a b' is no host");
  EXPECT_EQ(why("1:fd00::1:2"), "'1:fd00::1:2': " + form + ", 'fd00::1' is no host");
  EXPECT_EQ(why("1:a:2=ftp"),
            "'1:a:2=ftp': PROBE must be one of kafka, tls, tcp, http/PATH, https/PATH");
  EXPECT_EQ(why("1:a:2=tcp/x"),
            "'1:a:2=tcp/x': PROBE must be one of kafka, tls, tcp, http/PATH, https/PATH");
  EXPECT_EQ(why("1:a:2,1:b:3"), "'1:b:3': local port 1 comes twice");
  std::string many;
  for (int i = 1; i <= 65; ++i) many += (i == 1 ? "" : ",") + std::to_string(i) + ":a:1";
  EXPECT_EQ(why(many), "'65:a:1': more than 64 forwards");
}

}  // namespace
}  // namespace ca4::config
