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

TEST(RequestHeadTest, BadPercentEncodingIsRefused) {
  for (const char* target : {"/%", "/%4", "/%zz", "/%00"}) {
    Head head;
    const auto error =
        parse_head(std::string("GET ") + target + " HTTP/1.1\r\nHost: x\r\n\r\n", head);
    ASSERT_TRUE(error) << target;
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
  const std::string coded = "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
  ChunkedBody body(100);
  std::string pending;
  for (const char c : coded) {
    pending.push_back(c);
    size_t used = 0;
    ASSERT_FALSE(body.take(pending, used));
    pending.erase(0, used);
  }
  EXPECT_TRUE(body.done());
  EXPECT_EQ(body.bytes(), "hello!");
}

}  // namespace
}  // namespace ca4::http
