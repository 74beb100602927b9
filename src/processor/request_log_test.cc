#include "processor/request_log.h"

#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include "http/problem.h"
#include "ops/logging.h"

namespace ca4::processor {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

constexpr const char* kTrace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class RequestLogTest : public testing::Test {
 protected:
  void TearDown() override { ASSERT_TRUE(ops::setup_logging("info", "text").is_ok()); }

  static std::string header(const http::Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return {};
  }

  // The id that a request with these headers is answered with.
  std::string ask(std::vector<std::pair<std::string, std::string>> headers,
                  http::Response answer = {}) {
    http::Request request;
    request.method = "POST";
    request.path = "/metadata";
    request.query = "token=in-the-query";
    request.peer = "127.0.0.1:5";
    request.id = ++asked_;
    request.headers = std::move(headers);
    std::string id;
    log_.watch([&](const http::Request&, const http::Respond& respond) {
      spdlog::info("inside");
      respond(answer);
    })(std::move(request), [&](const http::Response& got) { id = header(got, "X-Request-Id"); });
    return id;
  }

  // What is logged at `level` while `work` runs.
  template <class Work>
  static std::string logged(const std::string& level, Work work) {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(ops::setup_logging(level, "text").is_ok());
    work();
    spdlog::default_logger()->flush();
    return testing::internal::GetCapturedStderr();
  }

  RequestLog log_;
  uint64_t asked_ = 0;
};

TEST_F(RequestLogTest, EachRequestHasAnIdOfItsOwnOrTheOneItCameWith) {
  const std::string first = ask({});
  EXPECT_THAT(first, MatchesRegex("[0-9a-f]{8}-1"));
  EXPECT_EQ(ask({}), first.substr(0, 9) + "2");
  EXPECT_EQ(ask({{"X-Request-Id", "client_1.a-B"}}), "client_1.a-B");
  for (const std::string& odd :
       {std::string("two words"), std::string("a\x1b[31m"), std::string(65, 'a')}) {
    EXPECT_EQ(ask({{"X-Request-Id", odd}}).substr(0, 9), first.substr(0, 9)) << odd;
  }
  RequestLog other;
  EXPECT_NE(first.substr(0, 8), [&] {
    std::string id;
    other.watch([](const http::Request&, const http::Respond& respond) { respond({}); })(
        http::Request{}, [&](const http::Response& got) { id = header(got, "X-Request-Id"); });
    return id.substr(0, 8);
  }());
}

TEST_F(RequestLogTest, LinesAboutARequestHaveItsIds) {
  const std::string text =
      logged("info", [&] { ask({{"X-Request-Id", "r1"}, {"traceparent", kTrace}}); });
  EXPECT_THAT(text, HasSubstr("inside request_id=r1 trace_id=0af7651916cd43dd8448eb211c80319c\n"));
  EXPECT_THAT(logged("info", [&] { ask({{"traceparent", "none"}}); }), Not(HasSubstr("trace_id")));
}

TEST_F(RequestLogTest, AtDebugEachIsALineWithoutWhatIsSecret) {
  const std::string text = logged("debug", [&] {
    ask({{"X-Request-Id", "r1"}, {"Authorization", "Bearer in-the-header"}}, {.body = "12345"});
    ask({}, {.caller = "colab"});
  });
  EXPECT_THAT(text, HasSubstr("POST /metadata from 127.0.0.1:5 by token 'colab': 200 in "));
  EXPECT_THAT(text, HasSubstr("POST /metadata from 127.0.0.1:5: 200 in "));
  EXPECT_THAT(text, HasSubstr(" ms, 5 bytes request_id=r1\n"));
  EXPECT_THAT(text, Not(HasSubstr("in-the-")));
}

TEST_F(RequestLogTest, OurFaultsAreSaidWithTheirReasonAndNotOverAndOver) {
  const std::string text = logged("info", [&] {
    for (int i = 0; i < 5; ++i) ask({}, http::problem(503, "the disk is full"));
    ask({}, http::problem(500, "a defect"));
    ask({}, http::problem(422, "no embedding"));
  });
  EXPECT_THAT(
      text,
      HasSubstr("POST /metadata from 127.0.0.1:5 is answered 503: the disk is full request_id="));
  EXPECT_THAT(text, HasSubstr("answered 500: a defect"));
  EXPECT_EQ(text.find("the disk is full"), text.rfind("the disk is full")) << text;
  EXPECT_THAT(text, Not(HasSubstr("no embedding")));
}

}  // namespace
}  // namespace ca4::processor
