#include "http/request_head.h"

#include <gtest/gtest.h>

namespace ca4::http {
namespace {

TEST(RequestHeadTest, TargetIsSplitAndDecoded) {
  Head head;
  ASSERT_FALSE(parse_head("GET /a%20b/%C3%A9?q=%41 HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n", head));
  EXPECT_EQ(head.request.path, "/a b/\xC3\xA9");
  EXPECT_EQ(head.request.query, "q=%41");
  EXPECT_EQ(head.request.header("x-y"), "z");
  EXPECT_TRUE(head.keep_alive);
}

TEST(RequestHeadTest, AbsoluteFormIsTheSamePath) {
  Head head;
  ASSERT_FALSE(parse_head("GET http://host:8000/a?b HTTP/1.1\r\nHost: host\r\n\r\n", head));
  EXPECT_EQ(head.request.path, "/a");
  EXPECT_EQ(head.request.query, "b");
}

TEST(RequestHeadTest, WhatAnAbsoluteFormNamesReplacesTheHost) {
  for (const char* host : {"Host: other\r\n", "host: a\r\n"}) {
    Head head;
    ASSERT_FALSE(
        parse_head(std::string("GET HTTP://name:8000?b HTTP/1.1\r\n") + host + "\r\n", head));
    EXPECT_EQ(head.request.path, "/");
    EXPECT_EQ(head.request.query, "b");
    EXPECT_EQ(head.request.header("Host"), "name:8000");
  }
  Head without;
  ASSERT_FALSE(parse_head("GET http://name/a HTTP/1.0\r\n\r\n", without));
  EXPECT_EQ(without.request.header("Host"), "name");
}

TEST(RequestHeadTest, AHostIsANameOrAnAddressAndPerhapsAPort) {
  for (const char* host :
       {"", "a", "a-b.example", "10.0.0.1:8000", "[::1]", "[::1]:80", "a:", "a%20b"}) {
    Head head;
    EXPECT_FALSE(parse_head(std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n", head))
        << host;
  }
  for (const char* host :
       {"a b", "a/b", "u@a", "a:b", "a:1:2", "[::1", "[::g]", "[::1]x", "a?b", "\"a\""}) {
    Head head;
    const auto error =
        parse_head(std::string("GET / HTTP/1.1\r\nHost: ") + host + "\r\n\r\n", head);
    ASSERT_TRUE(error) << host;
    EXPECT_EQ(error->status, 400);
  }
}

TEST(RequestHeadTest, ATargetIsAPathOrAUrlOrTheAsteriskOfOptions) {
  Head options;
  ASSERT_FALSE(parse_head("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", options));
  EXPECT_EQ(options.request.path, "*");
  for (const char* target : {"*", "a", "a/b", "host:80", "ftp://host/", "http:///a", "http://u@h/",
                             "/a#b", "http://h#b"}) {
    Head head;
    const auto error =
        parse_head(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\n\r\n", head);
    ASSERT_TRUE(error) << target;
    EXPECT_EQ(error->status, 400);
  }
}

TEST(RequestHeadTest, BadPercentEncodingIsRefused) {
  for (const char* target : {"/%", "/%4", "/%zz", "/%00"}) {
    Head head;
    const auto error =
        parse_head(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\n\r\n", head);
    ASSERT_TRUE(error) << target;
    EXPECT_EQ(error->status, 400);
  }
}

TEST(RequestHeadTest, ALengthIsOneNumber) {
  for (const char* length : {"3, 3", "3,3", "3 3", "+3", "0x3", "3.0", ""}) {
    Head head;
    const auto error = parse_head(
        std::string("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ") + length + "\r\n\r\n", head);
    ASSERT_TRUE(error) << length;
    EXPECT_EQ(error->status, 400);
  }
}

TEST(RequestHeadTest, Http10ClosesUnlessAskedNotTo) {
  Head head;
  ASSERT_FALSE(parse_head("GET / HTTP/1.0\r\n\r\n", head));
  EXPECT_FALSE(head.keep_alive);
}

TEST(RequestHeadTest, OnlyOneExpectationIsKnown) {
  Head head;
  const auto error = parse_head("GET / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", head);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->status, 417);
}

TEST(RequestHeadTest, Http10ExpectsNothing) {
  Head head;
  ASSERT_FALSE(
      parse_head("POST / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", head));
  EXPECT_FALSE(head.expects_continue);
}

TEST(ChunkedBodyTest, ArrivesInAnyPieces) {
  for (const auto& [coded, decoded] :
       {std::pair("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!"), std::pair("0\r\n\r\n", ""),
        std::pair("0;a\r\nTrailer: b\r\n\r\n", "")}) {
    ChunkedBody body(100);
    std::string pending;
    for (const char c : std::string(coded)) {
      ASSERT_FALSE(body.done()) << coded;
      pending.push_back(c);
      size_t used = 0;
      ASSERT_FALSE(body.take(pending, used)) << coded;
      pending.erase(0, used);
    }
    EXPECT_TRUE(body.done()) << coded;
    EXPECT_EQ(body.bytes(), decoded);
  }
}

}  // namespace
}  // namespace ca4::http
