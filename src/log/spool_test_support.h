// For the tests of the spooled log: one over a fake target, with short waits.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/test_dir.h"
#include "log/event_log_conformance.h"
#include "log/fake_target.h"
#include "log/memory_log.h"
#include "log/spooled_log.h"

namespace ca4::log {

inline SpooledLogOptions quick() {
  SpooledLogOptions options;
  // A busy machine must not pass for a target that is away; tests of that say so.
  options.stall_ms_max = 60'000;
  options.turn_ms_max = 30;
  options.watch_ms = 3;
  options.backoff = {.min_ms = 1, .max_ms = 10};
  return options;
}

inline EmbeddedLogOptions spool_options(const std::string& file) {
  EmbeddedLogOptions options;
  options.file = file;
  options.groups = {kForwarderGroup};
  options.retention_bytes = 1;
  options.retention_age_s = 0;
  options.retention_interval_ms = 20;
  options.full_advice = "raise kafka.outbox_bytes_max";
  return options;
}

inline KeepRefused no_letters() {
  return [](const Record& record, const Status& why) {
    ADD_FAILURE() << "refused: " << record.key << ": " << why.to_string();
    return Status::ok();
  };
}

// Asks until it holds; patient, as only a test that fails anyway waits for it.
inline bool eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// Lends a log to an owner that closes only itself: what a broker holds outlives its client.
class Lent final : public EventLog {
 public:
  explicit Lent(EventLog& log) : log_(log) {}
  void append(std::vector<NewRecord> batch, AppendDone done) override {
    log_.append(std::move(batch), std::move(done));
  }
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override {
    return log_.consumer(group);
  }
  Result<std::unique_ptr<Consumer>> scan(From from) override { return log_.scan(from); }
  Result<std::vector<Record>> newest() override { return log_.newest(); }
  Result<std::vector<PartitionLag>> lag(const std::string& group) override {
    return log_.lag(group);
  }
  Status ready() override { return log_.ready(); }
  size_t queue_depth() const override { return log_.queue_depth(); }
  void close() override {}
  const std::string& topic() const override { return log_.topic(); }

 private:
  EventLog& log_;
};

class SpoolTest : public testing::Test {
 protected:
  using Answer = std::future<Result<std::vector<Position>>>;

  // An honest target says by itself that it is away.
  void open(FakeTarget::Fault fault = FakeTarget::Fault::kNone, bool honest = true) {
    honest_ = honest;
    open_with(clock_, fault);
  }
  void open_with(const Clock& clock, FakeTarget::Fault fault) {
    log_.reset();
    auto target = std::make_unique<FakeTarget>(std::make_unique<Lent>(broker_));
    target_ = target.get();
    target_->set(fault);
    target_->set_honest(honest_);
    SpooledLogOptions options = options_;
    options.changed = [this](const OutboxStatus& status) {
      std::lock_guard lock(mutex_);
      changes_.emplace_back(name_of(status.state));
    };
    auto spool = EmbeddedLog::open(spool_, clock);
    ASSERT_TRUE(spool.is_ok()) << spool.status().to_string();
    const KeepRefused keep = [this](const Record& record, const Status& why) {
      return keep_letter(record, why);
    };
    auto opened =
        SpooledLog::open(std::move(*spool), std::move(target), keep, std::move(options), clock);
    ASSERT_TRUE(opened.is_ok()) << opened.status().to_string();
    log_ = std::move(*opened);
  }
  // As the next start of the process finds it.
  void reopen(FakeTarget::Fault fault = FakeTarget::Fault::kNone) {
    log_.reset();
    {
      std::lock_guard lock(mutex_);
      changes_.clear();
    }
    open(fault);
  }

  Answer append_later(const std::string& key, const std::string& value) {
    auto outcome = std::make_shared<std::promise<Result<std::vector<Position>>>>();
    Answer answer = outcome->get_future();
    log_->append({{key, value, {}}}, [outcome](Result<std::vector<Position>> result) {
      outcome->set_value(std::move(result));
    });
    return answer;
  }
  std::vector<Answer> append_all(const std::string& key, const std::vector<std::string>& values) {
    std::vector<Answer> answers;
    for (const std::string& value : values) answers.push_back(append_later(key, value));
    return answers;
  }
  Result<std::vector<Position>> append(const std::string& key, const std::string& value) {
    return append_and_wait(*log_, {{key, value, {}}});
  }

  OutboxStatus status() const { return log_->outbox().value(); }
  bool becomes(OutboxState state) const {
    return eventually([&] { return status().state == state; });
  }
  std::vector<Record> target_records() {
    std::vector<Record> records;
    const NextRecords next = read_to_end(broker_).value();
    for (auto some = next().value(); !some.empty(); some = next().value()) {
      records.insert(records.end(), some.begin(), some.end());
    }
    return records;
  }
  std::vector<std::string> target_values() { return values_of(target_records()); }
  std::vector<std::string> changes() {
    std::lock_guard lock(mutex_);
    return changes_;
  }
  std::vector<std::string> letters() {
    std::lock_guard lock(mutex_);
    return letters_;
  }

  Status keep_letter(const Record& record, const Status& why) {
    std::lock_guard lock(mutex_);
    if (letters_fail_ > 0) {
      --letters_fail_;
      return {Code::kIo, "disk full"};
    }
    letters_.push_back(record.key + ": " + why.message());
    return Status::ok();
  }

  TempDir dir_;
  SystemClock clock_;
  ManualClock manual_clock_{1'700'000'000'000'000};
  SpooledLogOptions options_ = quick();
  EmbeddedLogOptions spool_ = spool_options(dir_ / "outbox.db");
  // Nothing in it may go, as nobody reads it before the end.
  MemoryLog broker_{{.bytes_max = 1U << 30, .records_max = 10'000'000}, clock_};
  bool honest_ = true;
  std::atomic<int> letters_fail_ = 0;
  std::mutex mutex_;
  std::vector<std::string> letters_;
  std::vector<std::string> changes_;
  FakeTarget* target_ = nullptr;
  std::unique_ptr<SpooledLog> log_;  // last: its threads use the others
};

}  // namespace ca4::log
