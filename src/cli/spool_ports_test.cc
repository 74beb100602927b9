// The outbox as a processor has it, on a target that comes and goes.
#include "cli/spool_ports.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "archive/archive.h"
#include "base/sqlite.h"
#include "base/test_dir.h"
#include "cli/data_layout.h"
#include "cli/embedded_ports.h"
#include "cli/service.h"
#include "http/test_client.h"
#include "log/fake_target.h"
#include "worker/dead_letters.h"

namespace ca4::cli {
namespace {

using log::FakeTarget;
using testing::HasSubstr;
using testing::Not;
using Fault = FakeTarget::Fault;
using Json = nlohmann::json;

bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class SpoolPortsTest : public testing::Test {
 protected:
  SpoolPortsTest() {
    settings_.data_dir = dir_ / "data";
    settings_.kafka.bootstrap = "kafka:9092";
    settings_.processor.listen = "127.0.0.1:0";
    settings_.processor.threads = 1;
  }

  Site site() { return {settings_, clock_, &metrics_}; }

  // An embedded log stands for Kafka.
  std::unique_ptr<log::EventLog> target(Fault fault) {
    auto opened = log::EmbeddedLog::open({.dir = dir_ / "kafka"}, clock_);
    EXPECT_TRUE(opened.is_ok()) << opened.status().to_string();
    auto fake = std::make_unique<FakeTarget>(std::move(*opened));
    fake->set(fault);
    target_ = fake.get();
    return fake;
  }

  void start(Fault fault) {
    auto events = spooled(site(), target(fault));
    ASSERT_TRUE(events.is_ok()) << events.status().to_string();
    ports_.events = std::move(*events);
    ports_.dead_letters = embedded_dead_letters(site(), true).value();
    ports_.store = embedded_store(site(), false).value();
    auto front = Front::start(settings_, ports_, clock_, metrics_);
    ASSERT_TRUE(front.is_ok()) << front.status().to_string();
    front_ = std::move(*front);
  }
  void stop() {
    front_.reset();
    ports_ = {};
  }

  std::string http(const std::string& head, const std::string& body = "") {
    const std::string url = front_->url();
    http::TestClient client(static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    client.send(head +
                " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                "Content-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.response();
  }
  std::string post(const std::string& id) {
    return http("POST /metadata", R"({"metadata_id":")" + id + R"(","embedding":[1,2]})");
  }
  Json stats() {
    const std::string answer = http("GET /api/stats");
    return Json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
  }

  TempDir dir_;
  SystemClock clock_;
  ops::Metrics metrics_{"0", "serve"};
  config::Settings settings_;
  FakeTarget* target_ = nullptr;
  Ports ports_;
  std::unique_ptr<Front> front_;
};

TEST_F(SpoolPortsTest, AProcessorWhoseKafkaIsAwayAtTheStartTakesEventsIntoTheOutbox) {
  start(Fault::kAway);
  const std::string answer = post("a");
  EXPECT_THAT(answer, HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(answer, HasSubstr(R"("durable_in":"outbox")"));
  EXPECT_THAT(answer, HasSubstr(R"("outbox_enabled":true)"));
  EXPECT_THAT(http("GET /readyz"), HasSubstr("HTTP/1.1 200"));
  EXPECT_THAT(http("GET /health"),
              HasSubstr(R"("outbox_file":")" + dir_.path() + R"(/data/outbox/gpu-metadata.db")"));
  EXPECT_TRUE(std::filesystem::exists(dir_ / "data/outbox/gpu-metadata.db"));
  std::string metrics = http("GET /metrics");
  EXPECT_THAT(metrics, HasSubstr("ca4_outbox_records 1\n"));
  EXPECT_THAT(metrics, HasSubstr("ca4_outbox_spooled_total 1\n"));
  EXPECT_THAT(metrics, HasSubstr("ca4_outbox_state{state=\"spooling\"} 1\n"));
  const Json outbox = stats()["outbox"];
  EXPECT_EQ(outbox["state"], "spooling");
  EXPECT_EQ(outbox["waiting"], 1);
  EXPECT_EQ(outbox["last_error"], "the target is away");

  target_->set(Fault::kNone);
  ASSERT_TRUE(eventually([&] { return stats()["outbox"]["state"] == "direct"; }));
  EXPECT_THAT(post("b"), HasSubstr(R"("durable_in":"kafka")"));
  metrics = http("GET /metrics");
  EXPECT_THAT(metrics, HasSubstr("ca4_outbox_records 0\n"));
  EXPECT_THAT(metrics, HasSubstr("ca4_outbox_forwarded_total 1\n"));
  EXPECT_THAT(metrics, HasSubstr("ca4_outbox_age_seconds 0\n"));
  EXPECT_EQ(ports_.events->lag(log::kNobody)->at(0).lag(), 2);
}

TEST_F(SpoolPortsTest, VersionsGoOnFromTheOutboxWhileKafkaIsAway) {
  start(Fault::kAway);
  EXPECT_THAT(post("a"), HasSubstr("200"));
  const auto version = [this] {
    return event::decode(ports_.events->newest().value().at(0).value)->version;
  };
  const uint64_t before = version();
  stop();
  start(Fault::kAway);
  EXPECT_THAT(post("a"), HasSubstr("200"));
  EXPECT_GT(version(), before);
}

TEST_F(SpoolPortsTest, AnOutboxThatIsSwitchedOffIsNotMade) {
  settings_.kafka.outbox = false;
  start(Fault::kNone);
  target_->set(Fault::kAway);
  EXPECT_THAT(post("a"), HasSubstr("HTTP/1.1 503"));
  EXPECT_THAT(http("GET /health"), HasSubstr(R"("outbox_file":"","outbox_enabled":false)"));
  EXPECT_TRUE(stats()["outbox"].is_null());
  EXPECT_THAT(http("GET /metrics"), Not(HasSubstr("ca4_outbox")));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "data/outbox"));
}

TEST_F(SpoolPortsTest, TheNamedFileIsTakenExactlyAndHasOneOwner) {
  settings_.kafka.outbox_file = dir_ / "elsewhere/my.outbox";
  start(Fault::kAway);
  EXPECT_TRUE(std::filesystem::exists(dir_ / "elsewhere/my.outbox"));
  const Status second = open_outbox(site()).status();
  EXPECT_EQ(second.code(), Code::kUnavailable);
  EXPECT_THAT(second.message(), HasSubstr(dir_ / "elsewhere/my.outbox"));
}

TEST_F(SpoolPortsTest, AFileThatIsNoOutboxIsLeftAsItIsAndTheWayOutIsNamed) {
  settings_.kafka.outbox_file = dir_ / "outbox.csv";
  const std::string row = "1700000000.25,\"{\"\"embedding\"\": [1]}\"\r\n";
  std::ofstream(settings_.kafka.outbox_file) << row;
  const Status csv = spooled(site(), target(Fault::kNone)).status();
  EXPECT_EQ(csv.code(), Code::kConfig);
  EXPECT_THAT(csv.message(), HasSubstr("ca4 spool import " + settings_.kafka.outbox_file));
  EXPECT_THAT(csv.message(), HasSubstr("Name another file"));
  EXPECT_EQ(std::filesystem::file_size(settings_.kafka.outbox_file), row.size());
  EXPECT_FALSE(std::filesystem::exists(settings_.kafka.outbox_file + "-lock"));

  std::ofstream(settings_.kafka.outbox_file) << "some text that is no table at all";
  EXPECT_THAT(spooled(site(), target(Fault::kNone)).status().message(),
              HasSubstr("something else"));
}

TEST_F(SpoolPortsTest, WhatKafkaRefusesForGoodIsALetterOfTheOutbox) {
  EXPECT_EQ(open_outbox_letters(site(), false).status().code(), Code::kNotFound);
  start(Fault::kAway);
  EXPECT_THAT(post("bad"), HasSubstr("200"));
  EXPECT_THAT(post("good"), HasSubstr("200"));
  target_->refuse([](const log::NewRecord& record) { return record.key == "bad"; });
  target_->set(Fault::kNone);
  ASSERT_TRUE(eventually([&] { return stats()["outbox"]["state"] == "direct"; }));
  EXPECT_THAT(http("GET /metrics"), HasSubstr("ca4_outbox_refused_total 1\n"));
  EXPECT_EQ(ports_.events->lag(log::kNobody)->at(0).lag(), 1);
  // Also while the processor runs.
  const auto letters = open_outbox_letters(site(), false);
  ASSERT_TRUE(letters.is_ok()) << letters.status().to_string();
  const log::NextRecords next = log::read_to_end(**letters).value();
  std::vector<log::Record> records = next().value();
  ASSERT_EQ(records.size(), 1U);
  const worker::DeadLetter letter = worker::read_dead_letter(records[0]);
  EXPECT_EQ(letter.key, "bad");
  EXPECT_EQ(letter.stage, "forward");
  EXPECT_EQ(letter.source_topic, "gpu-metadata.outbox");
  EXPECT_EQ(letter.reason, "the target takes no such record");
}

TEST_F(SpoolPortsTest, WhatTheDiskHasDamagedIsALetterOfTheOutboxAndNoRecordInKafka) {
  start(Fault::kAway);
  for (const char* id : {"a", "b", "c", "d"}) EXPECT_THAT(post(id), HasSubstr("200"));
  stop();
  {
    auto outbox = sqlite::Database::open(outbox_file(settings_), {}).value();
    EXPECT_TRUE(outbox
                    .exec("UPDATE records SET value = substr(value, 1, 60) WHERE offset = 1;"
                          "DELETE FROM records WHERE offset = 2")
                    .is_ok());
  }
  start(Fault::kNone);
  ASSERT_TRUE(eventually([&] { return stats()["outbox"]["state"] == "direct"; }));
  std::vector<std::string> sent;
  const log::NextRecords in_kafka = log::read_to_end(*ports_.events).value();
  const std::vector<log::Record> records = in_kafka().value();
  for (const log::Record& record : records) sent.push_back(record.key);
  EXPECT_THAT(sent, testing::ElementsAre("a", "d"));
  const auto letters = open_outbox_letters(site(), false).value();
  std::vector<std::string> kept;
  const log::NextRecords in_letters = log::read_to_end(*letters).value();
  std::vector<log::Record> refused = in_letters().value();
  for (log::Record& record : refused) {
    const worker::DeadLetter letter = worker::read_dead_letter(std::move(record));
    kept.push_back(letter.name() + letter.key);
    EXPECT_THAT(letter.reason, HasSubstr("damaged on this disk"));
  }
  EXPECT_THAT(kept, testing::ElementsAre("0:1b", "0:2"));
}

}  // namespace
}  // namespace ca4::cli
