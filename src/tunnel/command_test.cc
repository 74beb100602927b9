#include "tunnel/command.h"

#include <gmock/gmock.h>

#include "tunnel/tunnel.h"

namespace ca4::tunnel {
namespace {

using testing::ElementsAre;

std::vector<config::Forward> forwards(std::string_view text) {
  return *config::parse_forwards(text);
}

TEST(SshCommand, OfTheContractsForwards) {
  SshOptions options;
  options.host = "bastion";
  EXPECT_THAT(
      ssh_command(options, forwards("9092:kafka:9092,16443:k3s-api:6443,3000:grafana:3000")),
      ElementsAre("ssh", "-N", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o",
                  "ExitOnForwardFailure=yes", "-o", "ConnectTimeout=10", "-o",
                  "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3", "-o",
                  "StrictHostKeyChecking=yes", "-o", "ControlMaster=no", "-o", "ControlPath=none",
                  "-o", "PermitLocalCommand=no", "-o", "LogLevel=INFO", "-L",
                  "127.0.0.1:9092:kafka:9092", "-L", "127.0.0.1:16443:k3s-api:6443", "-L",
                  "127.0.0.1:3000:grafana:3000", "--", "bastion"));
}

TEST(SshCommand, WithEverythingThatCanBeSaid) {
  const SshOptions options{.host = "203.0.113.7",
                           .user = "ec2-user",
                           .port = 2222,
                           .key_file = "/a b/key",
                           .known_hosts_file = "/a b/known",
                           .host_key_checking = "accept-new",
                           .connect_timeout_s = 3,
                           .keepalive_interval_s = 1};
  EXPECT_THAT(
      ssh_command(options, forwards("1:[fd00::1]:2")),
      ElementsAre("ssh", "-N", "-T", "-a", "-x", "-o", "BatchMode=yes", "-o",
                  "ExitOnForwardFailure=yes", "-o", "ConnectTimeout=3", "-o",
                  "ServerAliveInterval=1", "-o", "ServerAliveCountMax=3", "-o",
                  "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile=\"/a b/known\"",
                  "-o", "ControlMaster=no", "-o", "ControlPath=none", "-o", "PermitLocalCommand=no",
                  "-o", "LogLevel=INFO", "-o", "IdentitiesOnly=yes", "-i", "/a b/key", "-p", "2222",
                  "-l", "ec2-user", "-L", "127.0.0.1:1:[fd00::1]:2", "--", "203.0.113.7"));
}

TEST(SsmCommand, OneForward) {
  SsmOptions options;
  options.target = "i-0123456789abcdef0";
  const auto one = forwards("9092:kafka:9092");
  EXPECT_THAT(
      ssm_command(options, one[0]),
      ElementsAre("aws", "ssm", "start-session", "--target", "i-0123456789abcdef0",
                  "--document-name", "AWS-StartPortForwardingSessionToRemoteHost", "--parameters",
                  R"({"host":["kafka"],"portNumber":["9092"],"localPortNumber":["9092"]})"));
  options.region = "eu-central-1";
  options.profile = "ca4";
  EXPECT_THAT(ssm_command(options, one[0]),
              testing::IsSupersetOf({"--region", "eu-central-1", "--profile", "ca4"}));
}

TEST(BrokerMap, HasEveryBrokerAndNothingElse) {
  EXPECT_EQ(broker_map(forwards("9092:kafka:9092,16443:k3s-api:6443")),
            "kafka:9092=127.0.0.1:9092");
  EXPECT_EQ(broker_map(forwards("9092:kafka-0.kafka:9092,9093:kafka-1.kafka:9092,1:k:7=kafka")),
            "kafka-0.kafka:9092=127.0.0.1:9092,kafka-1.kafka:9092=127.0.0.1:9093,"
            "k:7=127.0.0.1:1");
  EXPECT_EQ(broker_map(forwards("3000:grafana:3000")), "");
}

}  // namespace
}  // namespace ca4::tunnel
