#include "config/address.h"

#include <gtest/gtest.h>

namespace ca4::config {
namespace {

TEST(Address, HostAndPortAreSplit) {
  const auto address = parse_address("127.0.0.1:8000");
  ASSERT_TRUE(address.is_ok());
  EXPECT_EQ(address->host, "127.0.0.1");
  EXPECT_EQ(address->port, 8000);
}

TEST(Address, Ipv6LosesItsBrackets) {
  const auto address = parse_address("[::1]:0");
  ASSERT_TRUE(address.is_ok());
  EXPECT_EQ(address->host, "::1");
  EXPECT_EQ(address->port, 0);
}

TEST(Address, EachMistakeHasItsOwnMessage) {
  const auto message = [](const char* text) { return parse_address(text).status().message(); };
  EXPECT_EQ(message("localhost"), "expected HOST:PORT, such as 127.0.0.1:8000");
  EXPECT_EQ(message(""), "expected HOST:PORT, such as 127.0.0.1:8000");
  EXPECT_EQ(message(":8000"), "the host is missing; every interface is 0.0.0.0:PORT");
  EXPECT_EQ(message("[]:8000"), "the host is missing; every interface is 0.0.0.0:PORT");
  EXPECT_EQ(message("::1:8000"), "an IPv6 address goes in brackets, such as [::1]:8000");
  EXPECT_EQ(message("[::1]"), "expected [IPV6]:PORT, such as [::1]:8000");
  EXPECT_EQ(message("[::1:8000"), "expected [IPV6]:PORT, such as [::1]:8000");
  EXPECT_EQ(message("[::1]x:80"), "expected [IPV6]:PORT, such as [::1]:8000");
  EXPECT_EQ(message("http://a:80"), "expected HOST:PORT, such as 127.0.0.1:8000");
  EXPECT_EQ(message("a b:80"), "expected HOST:PORT, such as 127.0.0.1:8000");
  for (const char* text : {"a:", "a:65536", "a:-1", "a:+1", "a: 80", "a:80x"}) {
    EXPECT_EQ(message(text), "the port must be 0 to 65535") << text;
  }
}

}  // namespace
}  // namespace ca4::config
