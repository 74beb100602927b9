#include "processor/processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/test_dir.h"
#include "base/test_zstd.h"
#include "log/memory_log.h"
#include "ops/metrics.h"

namespace ca4::processor {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kNow = 1'800'000'000'000'000;

// Keeps appends until the test says how they end.
class HeldLog final : public log::EventLog {
 public:
  void append(std::vector<log::NewRecord> batch, log::AppendDone done) override {
    records.insert(records.end(), batch.begin(), batch.end());
    waiting.push_back(std::move(done));
  }
  Status admits(const log::NewRecord& record) const override {
    if (record.key != "large") return Status::ok();
    return {Code::kTooLarge, "more than the log takes"};
  }
  Result<std::unique_ptr<log::Consumer>> consumer(const std::string&) override {
    return Status(Code::kInternal, "not here");
  }
  Result<std::unique_ptr<log::Consumer>> scan(log::From) override {
    return Status(Code::kInternal, "not asked for");
  }
  Result<std::vector<log::Record>> newest() override { return std::vector<log::Record>{}; }
  Result<std::vector<log::PartitionLag>> lag(const std::string&) override {
    return std::vector<log::PartitionLag>{};
  }
  Status ready() override { return readiness; }
  size_t queue_depth() const override { return waiting.size(); }
  void close() override {}
  const std::string& topic() const override { return topic_; }

  void finish(const Result<std::vector<log::Position>>& how) {
    for (auto& done : std::exchange(waiting, {})) done(how);
  }
  event::EventView event(size_t at) const { return event::decode(records.at(at).value).value(); }

  std::vector<log::NewRecord> records;
  std::vector<log::AppendDone> waiting;
  Status readiness;

 private:
  const std::string topic_ = "gpu-metadata";
};

class ProcessorTest : public testing::Test {
 protected:
  ProcessorTest() : metrics_("1", "up"), clock_(kNow) {
    processor_.add_routes(router_, [](http::Handler inner) { return inner; });
  }

  static http::Request request_of(const std::string& method, const std::string& path,
                                  const std::string& body) {
    http::Request request;
    request.method = method;
    request.path = path;
    request.body_capacity = body.size() + event::Parser::kPaddingBytes;
    request.body_data = std::make_unique<char[]>(request.body_capacity);
    std::memcpy(request.body_data.get(), body.data(), body.size());
    request.body_bytes = body.size();
    return request;
  }

  // The answer so far; status 0 while there is none.
  std::shared_ptr<http::Response> send(const std::string& method, const std::string& path,
                                       const std::string& body = "",
                                       const std::string& type = "application/json",
                                       const std::string& traceparent = "") {
    http::Request request = request_of(method, path, body);
    if (!type.empty()) request.headers.emplace_back("Content-Type", type);
    if (!traceparent.empty()) request.headers.emplace_back("Traceparent", traceparent);
    auto out = std::make_shared<http::Response>(http::Response{.status = 0});
    router_.route(std::move(request),
                  [out](http::Response response) { *out = std::move(response); });
    return out;
  }
  std::shared_ptr<http::Response> post(const std::string& body) {
    return send("POST", "/metadata", body);
  }
  std::shared_ptr<http::Response> batch(const std::string& body) {
    return send("POST", "/metadata/batch", body, "application/x-ndjson");
  }
  void keep() { log_.finish(std::vector<log::Position>{}); }

  ops::Metrics metrics_{"1", "up"};
  ManualClock clock_;
  HeldLog log_;
  ops::Traffic traffic_;
  Processor processor_{
      log_, clock_, metrics_.registry(), traffic_, {.batch_events_max = 3, .version = "1.2"}};
  http::Router router_;
};

TEST_F(ProcessorTest, NothingIsAnsweredBeforeItIsDurable) {
  const auto answer = post(R"({"metadata_id":"a","embedding":[1,2]})");
  EXPECT_EQ(answer->status, 0);
  keep();
  ASSERT_EQ(answer->status, 200);
  const json body = json::parse(answer->body);
  EXPECT_EQ(body["status"], "ok");
  EXPECT_EQ(body["metadata_id"], "a");
  EXPECT_EQ(body["embedding_dim"], 2);
  EXPECT_EQ(body["kafka_enabled"], false);
  EXPECT_EQ(body["outbox_enabled"], false);
  EXPECT_TRUE(body["message"].is_string());
  EXPECT_EQ(log_.event(0).ingested_at_us, kNow);
  EXPECT_EQ(log_.records[0].key, "a");
}

TEST_F(ProcessorTest, WithoutAnIdATimeOrderedUuidIsGiven) {
  const auto answer = post(R"({"embedding":[1]})");
  keep();
  const std::string id = json::parse(answer->body)["metadata_id"];
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(id[14], '7');
  EXPECT_EQ(log_.records[0].key, id);
}

TEST_F(ProcessorTest, TheRequestsTraceGoesWithItsEvents) {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const std::string event = R"({"metadata_id":"a","embedding":[1]})";
  send("POST", "/metadata", event, "application/json", trace);
  send("POST", "/metadata/batch", event + "\n" + event, "application/x-ndjson", trace);
  ASSERT_EQ(log_.records.size(), 3U);
  for (const log::NewRecord& record : log_.records) {
    EXPECT_EQ(record.headers, (log::Headers{{"traceparent", trace}}));
  }
}

TEST_F(ProcessorTest, ATraceThatIsNoneIsLeftOut) {
  const std::string event = R"({"metadata_id":"a","embedding":[1]})";
  send("POST", "/metadata", event, "application/json", "00-4bf92f3577b34da6a3ce929d0e0e4736-x-01");
  send("POST", "/metadata", event);
  EXPECT_THAT(log_.records.at(0).headers, testing::IsEmpty());
  EXPECT_THAT(log_.records.at(1).headers, testing::IsEmpty());
}

std::vector<log::Record> newest_at(int64_t appended_at_us) {
  return {
      {.position = {}, .appended_at_us = appended_at_us, .key = {}, .value = {}, .headers = {}}};
}

TEST_F(ProcessorTest, VersionsGrowWhereverTheClockStands) {
  // Nothing is known of earlier runs: a second more than the log says.
  processor_.continue_versions(newest_at(kNow - 1'000'000 + 10));
  EXPECT_EQ(processor_.ahead_us(), 10);
  post(R"({"metadata_id":"a","embedding":[1]})");
  clock_.set_us(kNow - 1'000'000);
  post(R"({"metadata_id":"a","embedding":[1]})");
  clock_.set_us(kNow + 1'000);
  post(R"({"metadata_id":"a","embedding":[1]})");
  EXPECT_EQ(log_.event(0).version, static_cast<uint64_t>(kNow) + 11);
  EXPECT_EQ(log_.event(1).version, static_cast<uint64_t>(kNow) + 12);
  EXPECT_EQ(log_.event(2).version, static_cast<uint64_t>(kNow) + 1'000);
}

TEST_F(ProcessorTest, AMarkOfEarlierRunsNeedsNoMarginAboveTheLog) {
  const TempDir dir;
  const std::string file = dir / "topic.db-version";
  (*VersionMark::open(file))->given(kNow - 5'000'000);
  auto mark = VersionMark::open(file);
  processor_.remember_versions(std::move(*mark));
  processor_.continue_versions(newest_at(kNow - 10));
  EXPECT_EQ(processor_.ahead_us(), 0);
  processor_.continue_versions(newest_at(kNow + 10));
  EXPECT_EQ(processor_.ahead_us(), 10);
  post(R"({"metadata_id":"a","embedding":[1]})");
  EXPECT_EQ(log_.event(0).version, static_cast<uint64_t>(kNow) + 11);
}

// Accepted long ago, appended now: its own version says nothing of those in between.
TEST(VersionOf, ADeadLetterThatWasReplayedDoesNotLowerIt) {
  event::Event old;
  old.metadata_id = "a";
  old.meta_json = R"({"metadata_id":"a"})";
  old.embedding = {1};
  old.version = kNow - 3'600'000'000;
  log::Record newest{.position = {}, .appended_at_us = kNow, .key = {}, .value = {}, .headers = {}};
  newest.value = event::encode(old);
  EXPECT_EQ(version_of(newest), static_cast<uint64_t>(kNow));
  newest.value = "no event";
  EXPECT_EQ(version_of(newest), static_cast<uint64_t>(kNow));
}

TEST(VersionOf, AnEventInJsonHasItsVersionInAHeader) {
  const uint64_t version = kNow + 3'600'000'000;
  const log::Record newest{.position = {},
                           .appended_at_us = kNow,
                           .key = {},
                           .value = R"({"metadata_id":"a","embedding":[1]})",
                           .headers = {{"ca4_version", std::to_string(version)}}};
  EXPECT_EQ(version_of(newest), version);
}

TEST(VersionOf, AClockThatWasSetBackDoesNotLowerIt) {
  event::Event ahead;
  ahead.metadata_id = "a";
  ahead.meta_json = R"({"metadata_id":"a"})";
  ahead.embedding = {1};
  ahead.version = kNow + 3'600'000'000;
  const log::Record newest{.position = {},
                           .appended_at_us = kNow,
                           .key = {},
                           .value = event::encode(ahead),
                           .headers = {}};
  EXPECT_EQ(version_of(newest), ahead.version);
}

TEST_F(ProcessorTest, ALogThatCannotKeepItIs503WithRetryAfter) {
  for (const Code code : {Code::kOverloaded, Code::kIo, Code::kCancelled, Code::kUnavailable}) {
    const auto answer = post(R"({"embedding":[1]})");
    log_.finish(Status(code, "the disk is full"));
    EXPECT_EQ(answer->status, 503);
    EXPECT_THAT(answer->headers, testing::Contains(testing::Pair("Retry-After", "1")));
    EXPECT_THAT(answer->body, HasSubstr("the disk is full"));
  }
  const auto answer = post(R"({"embedding":[1]})");
  log_.finish(Status(Code::kTooLarge, "never fits"));
  EXPECT_EQ(answer->status, 413);
}

TEST_F(ProcessorTest, ARefusalNamesTheFieldAndReachesNoLog) {
  const auto content = post(R"({"embedding":[1,"x"]})");
  EXPECT_EQ(content->status, 422);
  EXPECT_EQ(content->content_type, "application/problem+json");
  EXPECT_EQ(json::parse(content->body)["field"], "embedding[1]");
  EXPECT_EQ(post("{")->status, 400);
  EXPECT_EQ(post("")->status, 400);
  EXPECT_TRUE(log_.records.empty());
}

TEST_F(ProcessorTest, OnlyJsonIsTaken) {
  EXPECT_EQ(send("POST", "/metadata", "{}", "text/plain")->status, 415);
  EXPECT_EQ(send("POST", "/metadata/batch", "{}", "application/json")->status, 415);
  send("POST", "/metadata", R"({"embedding":[1]})", "Application/JSON; charset=utf-8");
  send("POST", "/metadata", R"({"embedding":[1]})", "");
  EXPECT_EQ(log_.records.size(), 2U);
}

TEST_F(ProcessorTest, ABadLineDoesNotHurtItsNeighbours) {
  const auto answer = batch(
      "{\"metadata_id\":\"a\",\"embedding\":[1]}\n\n{\"embedding\":[]}\r\n{\"metadata_id\":\"b\","
      "\"embedding\":[1,2]}");
  EXPECT_EQ(answer->status, 0);
  keep();
  ASSERT_EQ(answer->status, 200);
  EXPECT_EQ(answer->content_type, "application/x-ndjson");
  std::vector<json> lines;
  std::istringstream text(answer->body);
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], json({{"line", 1},
                            {"status", "ok"},
                            {"metadata_id", "a"},
                            {"embedding_dim", 1},
                            {"durable_in", "log"}}));
  EXPECT_EQ(lines[1]["line"], 3);
  EXPECT_EQ(lines[1]["status"], "error");
  EXPECT_EQ(lines[1]["error"]["status"], 422);
  EXPECT_EQ(lines[1]["error"]["field"], "embedding");
  EXPECT_EQ(lines[2]["metadata_id"], "b");
  EXPECT_EQ(log_.records.size(), 2U);
}

TEST_F(ProcessorTest, WhatTheLogNeverTakesIsRefusedAloneAndBeforeItIsTried) {
  const std::string large = R"({"metadata_id":"large","embedding":[1]})";
  const auto alone = post(large);
  EXPECT_EQ(alone->status, 413);
  EXPECT_THAT(alone->body, HasSubstr("more than the log takes"));
  EXPECT_TRUE(log_.waiting.empty());
  const auto answer = batch("{\"metadata_id\":\"a\",\"embedding\":[1]}\n" + large +
                            "\n{\"metadata_id\":\"b\",\"embedding\":[1]}");
  keep();
  ASSERT_EQ(answer->status, 200);
  std::vector<json> lines;
  std::istringstream text(answer->body);
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0]["status"], "ok");
  EXPECT_EQ(lines[1]["status"], "error");
  EXPECT_EQ(lines[1]["error"]["status"], 413);
  EXPECT_EQ(lines[1]["error"]["detail"], "more than the log takes");
  EXPECT_EQ(lines[2]["status"], "ok");
  EXPECT_EQ(log_.records.size(), 2U);
  EXPECT_THAT(metrics_.text(), HasSubstr("ca4_events_total{result=\"refused\"} 2"));
}

TEST_F(ProcessorTest, AnEventInTheOutboxIsDurableAndSaysSo) {
  const auto answer = post(R"({"embedding":[1]})");
  log_.finish(std::vector<log::Position>{{log::kOutboxPartition, 7}});
  ASSERT_EQ(answer->status, 200);
  EXPECT_EQ(json::parse(answer->body)["durable_in"], "outbox");
}

TEST_F(ProcessorTest, ABatchIsKeptAsAWholeOrNotAtAll) {
  const auto answer = batch("{\"embedding\":[1]}\n{\"embedding\":[2]}");
  EXPECT_EQ(log_.waiting.size(), 1U);
  log_.finish(Status(Code::kIo, "no"));
  EXPECT_EQ(answer->status, 503);
}

TEST_F(ProcessorTest, ABatchThatTheBrokersFindTooLargeSaysThatSomeOfItMayBeKept) {
  const auto answer = batch("{\"embedding\":[1]}\n{\"embedding\":[2]}");
  log_.finish(Status(Code::kTooLarge, "over max.message.bytes"));
  EXPECT_EQ(answer->status, 413);
  EXPECT_THAT(answer->body, HasSubstr("one of 2 events"));
  EXPECT_THAT(answer->body, HasSubstr("smaller batches: over max.message.bytes"));
  const auto alone = post(R"({"embedding":[1]})");
  log_.finish(Status(Code::kTooLarge, "over max.message.bytes"));
  EXPECT_EQ(json::parse(alone->body)["detail"], "over max.message.bytes");
}

TEST_F(ProcessorTest, ABatchWithoutAGoodLineNeedsNoDisk) {
  const auto answer = batch("nonsense\n");
  ASSERT_EQ(answer->status, 200);
  EXPECT_THAT(answer->body, HasSubstr(R"("status":400)"));
  EXPECT_EQ(batch("\n\n")->status, 400);
}

TEST_F(ProcessorTest, ABatchOverTheLimitIsRefusedWhole) {
  EXPECT_EQ(
      batch("{\"embedding\":[1]}\n{\"embedding\":[1]}\n{\"embedding\":[1]}\n{\"embedding\":[1]}\n")
          ->status,
      413);
  EXPECT_TRUE(log_.records.empty());
}

TEST_F(ProcessorTest, WhatTakesLongHoldsUpNoCallerAndWhatDoesNotWaitsForNobody) {
  const std::string small = R"({"embedding":"none"})";
  const std::string large(2 << 20, '[');
  struct Case {
    std::string body;
    bool compressed, elsewhere;
  };
  for (const auto& [body, compressed, elsewhere] :
       {Case{small, false, false}, Case{zstd(small), true, false}, Case{"no zstd", true, false},
        Case{large, false, true}, Case{zstd(large), true, true}}) {
    http::Request request = request_of("POST", "/metadata", body);
    if (compressed) request.headers.emplace_back("Content-Encoding", "zstd");
    std::promise<std::pair<int, std::thread::id>> answered;
    router_.route(std::move(request), [&](const http::Response& response) {
      answered.set_value({response.status, std::this_thread::get_id()});
    });
    const auto [status, thread] = answered.get_future().get();
    EXPECT_GE(status, 400);
    EXPECT_LT(status, 500);
    EXPECT_EQ(thread != std::this_thread::get_id(), elsewhere) << body.size();
  }
}

TEST_F(ProcessorTest, HealthSaysWhatTheContractSays) {
  const auto answer = send("GET", "/health");
  const json body = json::parse(answer->body);
  EXPECT_EQ(body["status"], "healthy");
  EXPECT_EQ(body["kafka_bootstrap"], "");
  EXPECT_EQ(body["kafka_enabled"], false);
  EXPECT_EQ(body["outbox_file"], "");
  EXPECT_EQ(body["outbox_enabled"], false);
}

TEST_F(ProcessorTest, ReadinessIsTheLogs) {
  EXPECT_EQ(send("GET", "/readyz")->status, 200);
  log_.readiness = Status(Code::kOverloaded, "log is full");
  const auto answer = send("GET", "/readyz");
  EXPECT_EQ(answer->status, 503);
  EXPECT_THAT(answer->body, HasSubstr("log is full"));
  EXPECT_EQ(send("GET", "/livez")->status, 200);
}

TEST_F(ProcessorTest, EventsAreCountedByOutcome) {
  post(R"({"embedding":[1]})");
  keep();
  post("x");
  batch("{\"embedding\":[1]}\n{\"embedding\":[2]}\nx");
  log_.finish(Status(Code::kIo, "no"));
  const std::string text = metrics_.text();
  EXPECT_THAT(text, HasSubstr("ca4_events_total{result=\"accepted\"} 1"));
  EXPECT_THAT(text, HasSubstr("ca4_events_total{result=\"refused\"} 2"));
  EXPECT_THAT(text, HasSubstr("ca4_events_total{result=\"failed\"} 2"));
  EXPECT_THAT(text, HasSubstr("ca4_durable_seconds_count{place=\"log\"} 1"));
  EXPECT_THAT(text, HasSubstr("ca4_request_events_sum 1"));
}

TEST_F(ProcessorTest, TheDocumentOfTheInterfaceIsJson) {
  const json document = json::parse(send("GET", "/openapi.json")->body);
  EXPECT_TRUE(document["paths"].contains("/metadata"));
}

}  // namespace
}  // namespace ca4::processor
