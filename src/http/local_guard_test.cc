#include "http/local_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ca4::http {
namespace {

using testing::HasSubstr;

Request request(const std::string& method, const std::string& host,
                const std::string& origin = {}) {
  Request made;
  made.method = method;
  if (!host.empty()) made.headers.emplace_back("host", host);
  if (!origin.empty()) made.headers.emplace_back("origin", origin);
  return made;
}

TEST(LocalGuard, OnlyAddressesOfThisMachineAreLoopback) {
  for (const char* host : {"127.0.0.1", "127.9.9.9", "127.1", "0x7f.1", "::1", "localhost"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  // A name that begins like one may lead anywhere.
  for (const char* host : {"127.evil.example", "127.0.0.1.evil.example", "127.", "0.0.0.0",
                           "::", "128.0.0.1", "::ffff:10.0.0.1", "localhost.evil.example", ""}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

TEST(LocalGuard, AddressesAndNamesOfThisMachinePass) {
  for (const char* host :
       {"127.0.0.1:8000", "127.0.0.1", "[::1]:8000", "[::1]", "10.0.0.5:80", "localhost:8000",
        "LocalHost", "localhost.", "ca4.localhost:1", "box.lan:8000", ""}) {
    EXPECT_EQ(foreign_reason(request("GET", host), "box.lan", "--f"), "") << host;
    EXPECT_EQ(foreign_reason(request("POST", host), "box.lan", "--f"), "") << host;
  }
}

TEST(LocalGuard, OtherNamesAreRefusedWithWhatToDo) {
  for (const char* host : {"evil.example", "evil.example:8000", "localhost.evil.example",
                           "notlocalhost", "127.0.0.1.evil.example", "[evil]", "127.1"}) {
    const std::string reason =
        foreign_reason(request("GET", host), "127.0.0.1", "--some-token-file");
    EXPECT_THAT(reason, HasSubstr("--some-token-file")) << host;
    EXPECT_THAT(reason, HasSubstr("--host-header=rewrite")) << host;
  }
}

TEST(LocalGuard, PagesOfOtherSitesMayNotWrite) {
  for (const char* origin : {"http://evil.example", "https://127.0.0.2:8000", "null", "nonsense",
                             "http://localhost", "http://127.0.0.1.evil.example"}) {
    for (const char* method : {"POST", "PUT", "DELETE", "PATCH"}) {
      EXPECT_THAT(foreign_reason(request(method, "127.0.0.1:8000", origin), "127.0.0.1", "--f"),
                  HasSubstr(origin));
    }
    // The browser keeps the answer from them.
    EXPECT_EQ(foreign_reason(request("GET", "127.0.0.1:8000", origin), "127.0.0.1", "--f"), "");
  }
}

TEST(LocalGuard, OurOwnPageMayWrite) {
  for (const auto& [host, origin] :
       {std::pair{"127.0.0.1:8000", "http://127.0.0.1:8000"},
        std::pair{"localhost:8000", "http://LOCALHOST:8000"},
        std::pair{"[::1]:8000", "http://[::1]:8000"}, std::pair{"localhost", "http://localhost"}}) {
    EXPECT_EQ(foreign_reason(request("POST", host, origin), "127.0.0.1", "--f"), "") << origin;
  }
}

TEST(LocalGuard, TheRefusalIsAProblem) {
  bool reached = false;
  const Handler guarded =
      guard_local([&](const Request&, const Respond&) { reached = true; }, "127.0.0.1", "--f");
  Response answer;
  guarded(request("GET", "evil.example"), [&](Response given) { answer = std::move(given); });
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.content_type, "application/problem+json");
  EXPECT_FALSE(reached);
  guarded(request("GET", "localhost"), [](const Response&) {});
  EXPECT_TRUE(reached);
}

}  // namespace
}  // namespace ca4::http
