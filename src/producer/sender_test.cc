#include "producer/sender.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <map>

#include "producer/fake_endpoint.h"
#include "producer/reply.h"

namespace ca4::producer {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Short pauses, so that tests that retry are quick.
SenderOptions quick(int64_t budget_ms = 10'000) {
  SenderOptions options;
  options.retry = {.base_ms = 1, .cap_ms = 5, .budget_ms = budget_ms};
  return options;
}

std::vector<Parcel> parcels(int count, const std::string& prefix = "p") {
  std::vector<Parcel> out;
  for (int i = 0; i < count; ++i) {
    const std::string id = prefix + std::to_string(i);
    out.push_back({id, "key-" + id, "/" + id + ".jpg", R"({"metadata_id":")" + id + R"("})"});
  }
  return out;
}

std::vector<std::string> lines_of(const std::string& body) {
  std::vector<std::string> out;
  for (size_t at = 0; at < body.size(); at = body.find('\n', at) + 1) {
    out.push_back(body.substr(at, body.find('\n', at) - at));
  }
  return out;
}

std::string all_ok(const FakeRequest& request) {
  std::string body;
  for (size_t i = 0; i < lines_of(request.body).size(); ++i)
    body += R"({"status":"ok","metadata_id":"a"})"
            "\n";
  return FakeEndpoint::response(200, body);
}

// A sender over a real HTTP connection, and what became of each parcel.
class Fixture {
 public:
  Fixture(FakeEndpoint::Answer answer, const SenderOptions& options)
      : endpoint(std::move(answer)),
        transport(make_http_transport({.endpoint = endpoint.url(), .token = "s3cret"})),
        sender(
            *transport, options,
            [this](const Parcel& parcel, const Status& outcome) {
              const std::scoped_lock lock(mutex);
              EXPECT_FALSE(settled.contains(parcel.id)) << parcel.id << " settled twice";
              settled.emplace(parcel.id, outcome);
              return Status::ok();
            },
            stop.get_token()) {}

  size_t acknowledged() const {
    return static_cast<size_t>(
        std::ranges::count_if(settled, [](const auto& entry) { return entry.second.is_ok(); }));
  }

  FakeEndpoint endpoint;
  std::unique_ptr<Transport> transport;
  std::stop_source stop;
  std::mutex mutex;
  std::map<std::string, Status> settled;
  Sender sender;
};

TEST(Sender, SendsABatchAsLinesWithTheToken) {
  Fixture f(all_ok, quick());
  EXPECT_TRUE(f.sender.submit(parcels(3)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  ASSERT_EQ(f.endpoint.requests().size(), 1U);
  const FakeRequest request = f.endpoint.requests().front();
  EXPECT_THAT(request.head,
              AllOf(HasSubstr("POST /metadata/batch HTTP/1.1"),
                    HasSubstr("Content-Type: application/x-ndjson"),
                    HasSubstr("Authorization: Bearer s3cret"), Not(HasSubstr("Expect"))));
  EXPECT_THAT(
      lines_of(request.body),
      ElementsAre(R"({"metadata_id":"p0"})", R"({"metadata_id":"p1"})", R"({"metadata_id":"p2"})"));
  EXPECT_EQ(f.acknowledged(), 3U);
}

TEST(Sender, OneByOnePostsEachEventAlone) {
  SenderOptions options = quick();
  options.one_by_one = true;
  Fixture f(
      [](const FakeRequest&) {
        return FakeEndpoint::response(200, R"({"status":"ok","metadata_id":"a"})");
      },
      options);
  EXPECT_TRUE(f.sender.submit(parcels(3)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.endpoint.requests().size(), 3U);
  EXPECT_THAT(f.endpoint.requests().front().head,
              AllOf(HasSubstr("POST /metadata HTTP/1.1"), HasSubstr("application/json")));
  EXPECT_EQ(f.acknowledged(), 3U);
}

// Another web server, or a proxy that wants a log-in first.
TEST(Sender, AnAnswerThatIsNoProcessorsPromisesNothing) {
  for (const char* body : {"<html><title>Log in</title></html>", R"({"hello":1})", ""}) {
    for (const bool one_by_one : {false, true}) {
      SenderOptions options = quick(50);
      options.one_by_one = one_by_one;
      Fixture f([body](const FakeRequest&) { return FakeEndpoint::response(200, body); }, options);
      EXPECT_TRUE(f.sender.submit(parcels(1)));
      EXPECT_EQ(f.sender.finish().code(), Code::kUnavailable) << body << one_by_one;
      EXPECT_TRUE(f.settled.empty());
    }
  }
}

TEST(Sender, EndpointThatFailsNowAndThenGetsEverything) {
  std::atomic<int> calls = 0;
  Fixture f(
      [&](const FakeRequest& request) {
        switch (calls++ % 5) {
          case 0:
            return FakeEndpoint::response(503, R"({"title":"Overloaded"})");
          case 1:
            return std::string();  // hangs up
          case 2:
            return FakeEndpoint::response(429, "");
          default:
            return all_ok(request);
        }
      },
      quick());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(f.sender.submit(parcels(4, fmt::format("b{}-", i))));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.acknowledged(), 80U);
}

TEST(Sender, RefusedLineHurtsNoNeighbourAndIsNotTriedAgain) {
  Fixture f(
      [](const FakeRequest&) {
        return FakeEndpoint::response(
            200,
            "{\"status\":\"ok\",\"metadata_id\":\"a\"}\n"
            "{\"status\":422,\"title\":\"Invalid\",\"field\":\"embedding\",\"detail\":\"empty\"}\n"
            "{\"status\":\"ok\",\"metadata_id\":\"a\"}\n");
      },
      quick());
  EXPECT_TRUE(f.sender.submit(parcels(3)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.endpoint.requests().size(), 1U);
  EXPECT_EQ(f.acknowledged(), 2U);
  EXPECT_EQ(f.settled["p1"].message(), "Invalid: embedding: empty");
}

TEST(Sender, OnlyLinesNotSettledAreSentAgain) {
  std::atomic<int> calls = 0;
  Fixture f(
      [&](const FakeRequest& request) {
        if (calls++ > 0) return all_ok(request);
        return FakeEndpoint::response(200,
                                      "{\"status\":\"ok\",\"metadata_id\":\"a\"}\n{\"status\":503,"
                                      "\"title\":\"Full\"}\n");  // one is missing
      },
      quick());
  EXPECT_TRUE(f.sender.submit(parcels(3)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  const auto requests = f.endpoint.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_THAT(lines_of(requests[1].body),
              ElementsAre(R"({"metadata_id":"p1"})", R"({"metadata_id":"p2"})"));
  EXPECT_EQ(f.acknowledged(), 3U);
}

TEST(Sender, BatchThatIsTooLargeIsHalved) {
  Fixture f(
      [](const FakeRequest& request) {
        return lines_of(request.body).size() > 2 ? FakeEndpoint::response(413, "")
                                                 : all_ok(request);
      },
      quick());
  EXPECT_TRUE(f.sender.submit(parcels(7)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.acknowledged(), 7U);
}

TEST(Sender, SingleEventThatIsTooLargeIsRefused) {
  Fixture f([](const FakeRequest&) { return FakeEndpoint::response(413, ""); }, quick());
  EXPECT_TRUE(f.sender.submit(parcels(2)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.settled["p0"].code(), Code::kTooLarge);
  EXPECT_EQ(f.settled["p1"].code(), Code::kTooLarge);
}

TEST(Sender, LongBatchIsCutBelowTheBodyLimit) {
  SenderOptions options = quick();
  options.body_bytes_max = 50;  // two lines of 21 bytes
  Fixture f(all_ok, options);
  EXPECT_TRUE(f.sender.submit(parcels(5)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.endpoint.requests().size(), 3U);
  for (const FakeRequest& request : f.endpoint.requests()) EXPECT_LE(request.body.size(), 50U);
  EXPECT_EQ(f.acknowledged(), 5U);
}

TEST(Sender, AServerThatSaysWhenIsNotAskedBefore) {
  using std::chrono::steady_clock;
  std::vector<steady_clock::time_point> asked;
  Fixture f(
      [&](const FakeRequest& request) {
        asked.push_back(steady_clock::now());
        return asked.size() == 1 ? FakeEndpoint::response(429, "", "Retry-After: 1\r\n")
                                 : all_ok(request);
      },
      quick());
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.acknowledged(), 1U);
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_GE(asked[1] - asked[0], std::chrono::seconds(1));
}

TEST(Sender, WrongTokenEndsTheRunAtOnce) {
  Fixture f(
      [](const FakeRequest&) { return FakeEndpoint::response(401, R"({"title":"No token"})"); },
      quick());
  f.sender.submit(parcels(3));
  const Status status = f.sender.finish();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("HTTP 401 No token"));
  EXPECT_EQ(f.endpoint.requests().size(), 1U);
  EXPECT_TRUE(f.settled.empty());
}

TEST(Sender, GivesUpWhenTheBudgetIsOver) {
  Fixture f([](const FakeRequest&) { return FakeEndpoint::response(500, "broken"); }, quick(100));
  for (int i = 0; i < 50; ++i) {
    if (!f.sender.submit(parcels(1, fmt::format("b{}-", i)))) break;
  }
  const Status status = f.sender.finish();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("HTTP 500 broken"));
  EXPECT_FALSE(f.sender.submit(parcels(1)));
}

TEST(Sender, AServerThatAsksForMoreTimeThanThereIsIsGivenUpAtOnceAndTheReasonSaid) {
  Fixture f(
      [](const FakeRequest&) { return FakeEndpoint::response(503, "", "Retry-After: 3600\r\n"); },
      quick(60'000));
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  EXPECT_THAT(f.sender.finish().message(),
              HasSubstr("gave up after 0:00 of tries, as it asks to wait 1:00:00 (Retry-After) and "
                        "retry_for_s is 60: HTTP 503"));
  EXPECT_EQ(f.endpoint.requests().size(), 1U);
}

TEST(Sender, WithoutABudgetItIsSaidThatNothingWasTriedAgain) {
  Fixture f([](const FakeRequest&) { return FakeEndpoint::response(503, ""); }, quick(0));
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  EXPECT_THAT(f.sender.finish().message(), HasSubstr("gave up at once (retry_for_s is 0): HTTP"));
}

TEST(Sender, NobodyThereIsUnavailableWithTheAddress) {
  std::string url;
  {
    const FakeEndpoint gone(all_ok);
    url = gone.url();
  }
  const auto transport = make_http_transport({.endpoint = url, .token = ""});
  const auto reply = transport->post("/metadata", "application/json", "{}");
  EXPECT_EQ(reply.status().code(), Code::kUnavailable);
  EXPECT_THAT(reply.status().message(), HasSubstr(url));
}

TEST(Sender, StopEndsLongPauses) {
  SenderOptions options = quick();
  options.retry = {.base_ms = 1, .cap_ms = 1, .budget_ms = 1'000'000};
  Fixture f(
      [](const FakeRequest&) { return FakeEndpoint::response(503, "", "Retry-After: 500\r\n"); },
      options);
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  while (f.endpoint.requests().empty()) std::this_thread::yield();
  f.stop.request_stop();
  EXPECT_EQ(f.sender.finish().code(), Code::kCancelled);
  EXPECT_EQ(f.endpoint.requests().size(), 1U);
}

TEST(Sender, WhatWasSubmittedBeforeAStopIsStillSent) {
  Fixture f(all_ok, quick());
  EXPECT_TRUE(f.sender.submit(parcels(2)));
  f.stop.request_stop();
  EXPECT_TRUE(f.sender.submit(parcels(2, "q")));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.acknowledged(), 4U);
}

TEST(Transport, AProxyOfTheEnvironmentIsNotAskedForThisMachine) {
  const FakeEndpoint here([](const FakeRequest&) { return FakeEndpoint::response(200, ""); });
  // Nobody listens there.
  setenv("http_proxy", "http://127.0.0.1:1", 1);  // NOLINT(concurrency-mt-unsafe)
  const auto post = [](const std::string& endpoint) {
    return make_http_transport({.endpoint = endpoint, .token = ""})->post("/m", "text/plain", "");
  };
  EXPECT_TRUE(post(here.url()).is_ok());
  std::string by_name = here.url();
  EXPECT_TRUE(post(by_name.replace(by_name.find("127.0.0.1"), 9, "localhost")).is_ok());
  EXPECT_THAT(post("http://processor.invalid").status().message(),
              AllOf(HasSubstr("127.0.0.1 port 1"), HasSubstr("that is the proxy which")));
  unsetenv("http_proxy");  // NOLINT(concurrency-mt-unsafe)
  for (const char* const nobody :
       {"http://127.0.0.1:1", "http://a@[::1]:1/x", "http://localhost:1"}) {
    EXPECT_THAT(post(nobody).status().message(), Not(HasSubstr("proxy"))) << nobody;
  }
}

TEST(Transport, APasswordInTheEndpointIsNotTold) {
  const auto failure = [](const std::string& endpoint) {
    const auto transport = make_http_transport({.endpoint = endpoint, .token = ""});
    return transport->post("/m@n", "text/plain", "").status().message();
  };
  EXPECT_THAT(failure("http://ann:s3cret@127.0.0.1:1/p"),
              testing::StartsWith("http://127.0.0.1:1/p/m@n: "));
  EXPECT_THAT(failure("http://127.0.0.1:1"), testing::StartsWith("http://127.0.0.1:1/m@n: "));
}

TEST(Transport, TheWrongSchemeIsGuessed) {
  const auto closes = [](const FakeRequest&) { return std::string(); };
  const FakeEndpoint silent(closes);
  const auto said = [](const std::string& endpoint) {
    return make_http_transport({.endpoint = endpoint, .token = "", .connect_timeout_ms = 300})
        ->post("/metadata", "text/plain", "")
        .status()
        .message();
  };
  EXPECT_THAT(said(silent.url()), HasSubstr("(does it want https://?)"));
  const std::string address = silent.url().substr(silent.url().find("//"));
  EXPECT_THAT(said("https:" + address), HasSubstr("(does it speak http:// only?)"));
}

TEST(JudgeReply, StatusDecidesWhetherToTryAgain) {
  const auto code = [](int status) {
    return judge_reply({.status = status, .body = "", .retry_after_ms = {}}).code();
  };
  EXPECT_EQ(code(200), Code::kOk);
  EXPECT_EQ(code(207), Code::kOk);
  for (const int status : {408, 429, 500, 502, 503, 504})
    EXPECT_EQ(code(status), Code::kUnavailable);
  for (const int status : {301, 400, 401, 404, 405, 415, 422}) {
    EXPECT_EQ(code(status), Code::kInvalidArgument);
  }
  EXPECT_EQ(code(413), Code::kTooLarge);
}

TEST(JudgeReply, LongWebPageIsCut) {
  const Status status =
      judge_reply({.status = 404, .body = std::string(100'000, 'x'), .retry_after_ms = {}});
  EXPECT_LT(status.message().size(), 400U);
}

std::string said_of(int status, const std::string& body) {
  return judge_reply({.status = status, .body = body, .retry_after_ms = {}}).message();
}

TEST(JudgeReply, AWebPageOfAProxyIsItsTitleOnOneLine) {
  EXPECT_EQ(
      said_of(502, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<hr>nginx"),
      "HTTP 502 502 Bad Gateway");
  EXPECT_EQ(said_of(500, "two\nlines \x1b[31m"), "HTTP 500 two lines  [31m");
}

TEST(JudgeReply, WhatIsMostLikelyWrongIsSaid) {
  EXPECT_THAT(said_of(401, ""), HasSubstr("--token-file"));
  EXPECT_THAT(said_of(404, ""), HasSubstr("without /metadata?"));
  EXPECT_THAT(said_of(307, ""), HasSubstr("https://"));
  EXPECT_THAT(said_of(422, ""), Not(HasSubstr("(")));
}

TEST(JudgeLines, UnreadableLinesPromiseNothing) {
  const auto verdicts =
      judge_lines("{\"status\":\"ok\",\"metadata_id\":\"a\"}\n{\"status\":\"ok\"}\n[]\nx\n", 5);
  ASSERT_EQ(verdicts.size(), 5U);
  EXPECT_TRUE(verdicts[0].is_ok());
  for (size_t i = 1; i < 5; ++i) EXPECT_EQ(verdicts[i].code(), Code::kUnavailable);
}

// What ngrok's edge sends while no agent holds the name, headers and page as seen from outside.
std::string ngrok_offline(bool with_header) {
  return FakeEndpoint::response(
      404, "<!DOCTYPE html><html><body>The endpoint is offline. ERR_NGROK_3200</body></html>",
      with_header ? "Content-Type: text/html\r\nngrok-error-code: ERR_NGROK_3200\r\n"
                  : "Content-Type: text/html\r\n");
}

TEST(Sender, NgrokThatHasLostItsAgentIsWaitedFor) {
  std::atomic<int> asked = 0;
  Fixture f(
      [&](const FakeRequest& request) {
        const int number = asked++;
        return number < 2 ? ngrok_offline(number == 0) : all_ok(request);
      },
      quick());
  EXPECT_TRUE(f.sender.submit(parcels(2)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_EQ(f.acknowledged(), 2U);
  EXPECT_EQ(asked, 3);
}

TEST(Sender, NgrokThatStaysAwayIsNamedWhenTheBudgetIsUsedUp) {
  Fixture f([](const FakeRequest&) { return ngrok_offline(true); }, quick(20));
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  const Status status = f.sender.finish();
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("ngrok answers for the processor: ERR_NGROK_3200"));
}

TEST(Sender, AskNgrokForNoPageOfItsOwn) {
  Fixture f(all_ok, quick());
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  EXPECT_TRUE(f.sender.finish().is_ok());
  EXPECT_THAT(f.endpoint.requests().front().head, HasSubstr("ngrok-skip-browser-warning: 1"));
}

TEST(Sender, ProcessorsOwn404StaysARefusal) {
  Fixture f([](const FakeRequest&) { return FakeEndpoint::response(404, "no such path"); },
            quick());
  EXPECT_TRUE(f.sender.submit(parcels(1)));
  EXPECT_EQ(f.sender.finish().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace ca4::producer
