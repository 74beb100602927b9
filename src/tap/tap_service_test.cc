#include "tap/tap_service.h"

#include <gmock/gmock.h>

#include <chrono>
#include <future>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/clock.h"
#include "event/event.h"
#include "log/memory_log.h"

namespace ca4::tap {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class TapServiceTest : public testing::Test {
 protected:
  http::Response ask(const std::string& query) { return ask(service_, query); }
  static http::Response ask(TapService& service, const std::string& query) {
    http::Request request;
    request.method = "GET";
    request.path = "/tap";
    request.query = query;
    std::promise<http::Response> answered;
    service.handler()(std::move(request),
                      [&](http::Response response) { answered.set_value(std::move(response)); });
    return answered.get_future().get();
  }
  // The lines of an answer, the last of which is about the tap.
  static std::vector<nlohmann::json> lines(const http::Response& response) {
    EXPECT_EQ(response.status, 200) << response.body;
    std::vector<nlohmann::json> out;
    std::istringstream text(response.body);
    for (std::string line; std::getline(text, line);) out.push_back(nlohmann::json::parse(line));
    return out;
  }
  static std::string session(const http::Response& response) {
    return lines(response).back()["tap"]["session"];
  }
  void add(const std::string& id) {
    event::Event event;
    event.metadata_id = id;
    event.meta_json = R"({"metadata_id":")" + id + R"(","extra":{"pipeline":"p"}})";
    event.embedding = {3, 4};
    ASSERT_TRUE(log::append_and_wait(log_, {{id, event::encode(event), {}}}));
  }

  ManualClock clock_{1'795'460'000'500'000};
  log::MemoryLog log_{{}, clock_};
  TapService service_{log_};
};

TEST_F(TapServiceTest, ASessionSeesWhatCameSinceItWasAsked) {
  add("before");
  const http::Response first = ask("");
  EXPECT_EQ(first.content_type, "application/x-ndjson");
  EXPECT_EQ(lines(first).size(), 1U);
  add("a");
  add("b");
  const auto got = lines(ask("session=" + session(first)));
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0]["metadata_id"], "a");
  EXPECT_EQ(got[1]["metadata_id"], "b");
  EXPECT_EQ(got[2]["tap"]["left_out"], 0);
}

TEST_F(TapServiceTest, SessionsHaveFiltersOfTheirOwn) {
  const std::string one = session(ask("id=cat%2A&rate=1"));
  const std::string other = session(ask("pipeline=q"));
  for (const char* id : {"cat1", "cat2", "dog"}) add(id);
  const auto cats = lines(ask("session=" + one));
  ASSERT_EQ(cats.size(), 2U);
  EXPECT_EQ(cats[0]["metadata_id"], "cat1");
  EXPECT_EQ(cats[1]["tap"]["left_out"], 1);
  EXPECT_EQ(lines(ask("session=" + other)).size(), 1U);
}

TEST_F(TapServiceTest, ThereAreAtMostFour) {
  std::string last;
  for (int i = 0; i < 4; ++i) last = session(ask(""));
  const http::Response fifth = ask("");
  EXPECT_EQ(fifth.status, 503);
  EXPECT_THAT(fifth.body, HasSubstr("4 watch already"));
  EXPECT_EQ(ask("session=" + last).status, 200) << "those that are there go on";
}

TEST_F(TapServiceTest, SessionsThatNobodyAsksForMakeRoom) {
  TapService service(log_, 100ms);
  const std::string gone = session(ask(service, ""));
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (ask(service, "session=" + gone).status != 404) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    std::this_thread::sleep_for(400ms);
  }
}

TEST_F(TapServiceTest, WhatIsWrongIsNamed) {
  EXPECT_EQ(ask("session=none").status, 404);
  EXPECT_EQ(ask("rate=0").status, 400);
  EXPECT_THAT(ask("rate=many").body, HasSubstr("rate"));
  EXPECT_THAT(ask("pipline=p").body, HasSubstr("pipline is unknown here"));
}

}  // namespace
}  // namespace ca4::tap
