#include "http/attempts.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace ca4::http {
namespace {

const Allowance::Time kBegin{std::chrono::hours(1)};

std::string address(const std::string& peer, const std::string& forwarded_for = {}) {
  Request request;
  request.peer = peer;
  if (!forwarded_for.empty()) request.headers.emplace_back("X-Forwarded-For", forwarded_for);
  return client_address(request);
}

TEST(ClientAddress, IsThePeersOrOfIpv6ItsNetwork) {
  EXPECT_EQ(address("203.0.113.9:5"), "203.0.113.9");
  EXPECT_EQ(address("[2001:db8:1:2:3:4:5:6]:5"), "2001:db8:1:2::/64");
  EXPECT_EQ(address("[::ffff:203.0.113.9]:5"), "203.0.113.9");
  EXPECT_EQ(address("gone"), "gone");
}

TEST(ClientAddress, OnlyAProgramOfThisMachineSpeaksForOthers) {
  EXPECT_EQ(address("127.0.0.1:5", "203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(address("[::1]:5", "2001:db8:1:2::7"), "2001:db8:1:2::/64");
  // What stands before the last comma, the client may have sent itself.
  EXPECT_EQ(address("127.0.0.1:5", "198.51.100.1, 203.0.113.9"), "203.0.113.9");
  EXPECT_EQ(address("198.51.100.1:5", "203.0.113.9"), "198.51.100.1");
  for (const char* nonsense : {"evil", "1.2.3.4, ", "203.0.113.9:80", "1.2.3.4, 999.1.1.1"}) {
    EXPECT_EQ(address("127.0.0.1:5", nonsense), "127.0.0.1") << nonsense;
  }
}

TEST(ClientAddress, AFieldThatTheProxyAddedStandsBehindTheClients) {
  Request request;
  request.peer = "127.0.0.1:5";
  request.headers = {{"X-Forwarded-For", "198.51.100.1"}, {"x-forwarded-for", "203.0.113.9"}};
  EXPECT_EQ(client_address(request), "203.0.113.9");
  EXPECT_EQ(address("127.0.0.1:5", "::ffff:cb00:7109"), "203.0.113.9");
}

TEST(AttemptsTest, AnAddressMayFailTwentyTimesAndThenOnceASecond) {
  Attempts attempts;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(attempts.count("a", kBegin).count(), 0);
  EXPECT_EQ(attempts.count("a", kBegin).count(), 1000);
  EXPECT_EQ(attempts.wait("a", kBegin).count(), 1000);
  EXPECT_EQ(attempts.wait("b", kBegin).count(), 0);
  EXPECT_EQ(attempts.count("b", kBegin).count(), 0);
  EXPECT_EQ(attempts.count("a", kBegin + std::chrono::seconds(1)).count(), 0);
  EXPECT_GT(attempts.count("a", kBegin + std::chrono::seconds(1)).count(), 0);
}

TEST(AttemptsTest, RemembersABoundedNumberAndTheRestShares) {
  Attempts attempts;
  for (int i = 0; i < 10'000; ++i) attempts.count(fmt::format("address-{}", i), kBegin);
  EXPECT_EQ(attempts.size(), 4096U);
  EXPECT_GT(attempts.count("another", kBegin).count(), 0);
  EXPECT_GT(attempts.wait("yet another", kBegin).count(), 0);
  EXPECT_EQ(attempts.count("address-7", kBegin).count(), 0);
  // All have their allowance back, so nobody needs to be remembered.
  const Allowance::Time later = kBegin + std::chrono::minutes(1);
  EXPECT_EQ(attempts.count("another", later).count(), 0);
  EXPECT_EQ(attempts.size(), 1U);
}

}  // namespace
}  // namespace ca4::http
