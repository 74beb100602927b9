#include "page/stats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "page/test_support.h"

namespace ca4::page {
namespace {

using ::testing::HasSubstr;

TEST_F(PageTest, StatsTellTrafficQueuesAndCounts) {
  use_everything();
  fill_store();
  append(log_, 5);
  append(dead_letters_, 3);
  traffic_.add(clock_.now_us() - 1'000'000, 7, 1, 2, 900);
  start();
  const Json stats = get_json("/api/stats");
  EXPECT_EQ(stats["version"], "0.1.0");
  EXPECT_EQ(stats["connections"], 3);
  ASSERT_EQ(stats["traffic"].size(), 60U);
  const Json last = stats["traffic"].back();
  EXPECT_EQ(last["t"], 1'699'999'999);
  EXPECT_EQ(last["accepted"], 7);
  EXPECT_EQ(last["refused"], 1);
  EXPECT_EQ(last["failed"], 2);
  EXPECT_GE(last["p99_ms"].get<double>(), 0.9);
  EXPECT_EQ(stats["queue_depth"], 0);
  EXPECT_TRUE(stats["outbox"].is_null());
  EXPECT_EQ(stats["log_ready"], "ok");
  EXPECT_EQ(stats["lag"], Json::parse(R"({"ca4-worker":5,"ca4-archiver":5})"));
  EXPECT_EQ(stats["store_ready"], "ok");
  EXPECT_EQ(stats["documents"], 3);
  EXPECT_EQ(stats["dead_letters_ready"], "ok");
  EXPECT_EQ(stats["dead_letters"], 3);
  EXPECT_EQ(stats["dead_letters_total"], 3);
  EXPECT_EQ(stats["gpus"], Json::parse(R"([{"name":"none","documents":3,"last_seen":3.0}])"));
  EXPECT_THAT(get("/api/stats").body, HasSubstr(R"("ca4-worker":5)"));  // read with sed by a script
}

// The log behind an outbox.
class Outboxed final : public log::EventLog {
 public:
  Outboxed(log::EventLog& log, log::OutboxStatus status) : log_(log), status_(std::move(status)) {}
  void append(std::vector<log::NewRecord> batch, log::AppendDone done) override {
    log_.append(std::move(batch), std::move(done));
  }
  Result<std::unique_ptr<log::Consumer>> consumer(const std::string& group) override {
    return log_.consumer(group);
  }
  Result<std::unique_ptr<log::Consumer>> scan(log::From from) override { return log_.scan(from); }
  Result<std::vector<log::Record>> newest() override { return log_.newest(); }
  Result<std::vector<log::PartitionLag>> lag(const std::string& group) override {
    return log_.lag(group);
  }
  Status ready() override { return log_.ready(); }
  size_t queue_depth() const override { return log_.queue_depth(); }
  std::optional<log::OutboxStatus> outbox() const override { return status_; }
  void close() override {}
  const std::string& topic() const override { return log_.topic(); }

 private:
  log::EventLog& log_;
  const log::OutboxStatus status_;
};

TEST_F(PageTest, AnOutboxIsShownWithWhatWaitsInIt) {
  use_everything();
  log::OutboxStatus status;
  status.state = log::OutboxState::kSpooling;
  status.waiting_records = 12;
  status.oldest_us = clock_.now_us() - 2'500'000;
  status.bytes_used = 8192;
  status.bytes_max = 1 << 20;
  status.last_error = "broker \"a\" is away";
  Outboxed log(log_, status);
  parts_.log = &log;
  start();
  EXPECT_EQ(get_json("/api/stats")["outbox"],
            Json::parse(R"({"state":"spooling","waiting":12,"age_s":2.5,"bytes":8192,)"
                        R"("bytes_max":1048576,"last_error":"broker \"a\" is away"})"));
}

TEST_F(PageTest, ReplayedDeadLettersAreNotCountedAsWaiting) {
  use_everything();
  append(dead_letters_, 3);
  auto replay = dead_letters_.consumer("ca4-dlq-replay");
  ASSERT_TRUE(replay.is_ok());
  ASSERT_TRUE(replay.value()->commit({{.partition = 0, .offset = 2}}).is_ok());
  start();
  const Json stats = get_json("/api/stats");
  EXPECT_EQ(stats["dead_letters"], 1);
  EXPECT_EQ(stats["dead_letters_total"], 3);
}

TEST_F(PageTest, CountsAreKeptForTwoSecondsAndLagIsNot) {
  use_everything();
  start();
  EXPECT_EQ(get_json("/api/stats")["documents"], 0);
  fill_store();
  append(log_, 1);
  clock_.advance_us(1'999'999);
  EXPECT_EQ(get_json("/api/stats")["documents"], 0);
  EXPECT_EQ(get_json("/api/stats")["lag"]["ca4-worker"], 1);
  clock_.advance_us(1);
  EXPECT_EQ(get_json("/api/stats")["documents"], 3);
}

TEST_F(PageTest, PartsThatAreNotInTheProcessAreNull) {
  start();
  const Json stats = get_json("/api/stats");
  for (const char* name :
       {"connections", "traffic", "queue_depth", "log_ready", "lag", "outbox", "documents",
        "store_ready", "gpus", "dead_letters_ready", "dead_letters", "dead_letters_total"}) {
    ASSERT_TRUE(stats.contains(name)) << name;
    EXPECT_TRUE(stats[name].is_null()) << name;
  }
  EXPECT_EQ(stats["search_by_image"], false);
  EXPECT_TRUE(get_json("/api/documents")["documents"].is_null());
  EXPECT_EQ(get("/api/similar?id=a").status, 501);
  EXPECT_EQ(send(request_of("POST", "/api/similar", "x")).get().status, 501);
  EXPECT_EQ(get("/api/media?id=a").status, 404);
}

TEST_F(PageTest, StoreThatIsAwayIsSaid) {
  StuckStore away;
  away.let_go();
  parts_.store = &away;
  start();
  EXPECT_EQ(get_json("/api/stats")["store_ready"], "store is away");
}

TEST_F(PageTest, AStoreThatIsSilentHoldsUpNoFigures) {
  StuckStore silent;
  silent.silent = true;
  use_everything();
  append(dead_letters_, 3);
  parts_.store = &silent;
  Stats stats(parts_,
              {.patience = std::chrono::milliseconds(5), .silent = std::chrono::milliseconds(20)});
  for (int times = 0; times < 2; ++times) {
    const Json late = Json::parse(stats.to_json());
    EXPECT_THAT(late["store_ready"].get<std::string>(), HasSubstr("no answer for "));
    EXPECT_EQ(late["queue_depth"], 0);
    EXPECT_TRUE(late["dead_letters"].is_null());
  }
  silent.let_go();
  Json found;
  do found = Json::parse(stats.to_json());
  while (found["dead_letters"].is_null());
  EXPECT_EQ(found["store_ready"], "store is away");
  EXPECT_EQ(found["dead_letters"], 3);
}

}  // namespace
}  // namespace ca4::page
