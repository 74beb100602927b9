// For tests: the three ports in memory, with a place to put a fault in front of each operation.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "archive/archive.h"
#include "log/event_log.h"
#include "store/document_store.h"

namespace ca4::worker {

// A fault is asked before each operation; what it returns, unless Ok, is the outcome.
using Fault = std::function<Status()>;

inline Status ask(const Fault& fault) {
  return fault ? fault() : Status::ok();
}

inline constexpr int64_t kAppendedAtUs = 1'700'000'000'000'000;

// One partition. Set faults before threads start.
class FakeLog final : public log::EventLog {
 public:
  explicit FakeLog(std::string topic) : topic_(std::move(topic)) {}

  Fault on_append, on_open, on_poll, on_commit;
  size_t batch_bytes_max = SIZE_MAX;  // of the values; over it an append is refused as too large
  std::atomic<size_t> given = 0;      // records that polls returned
  std::atomic<uint64_t> deals = 0;    // a new one: consumers begin again at what is committed
  std::atomic<int64_t> now_us = kAppendedAtUs;  // when records are appended

  void append(std::vector<log::NewRecord> batch, log::AppendDone done) override {
    if (const Status fault = ask(on_append); !fault.is_ok()) return done(fault);
    size_t bytes = 0;
    for (const log::NewRecord& record : batch) bytes += record.value.size();
    if (bytes > batch_bytes_max) return done(Status(Code::kTooLarge, "more than the log takes"));
    std::vector<log::Position> positions;
    {
      std::lock_guard lock(mutex_);
      for (log::NewRecord& record : batch) {
        const log::Position position{0, static_cast<int64_t>(records_.size())};
        records_.push_back({position, now_us, std::move(record.key), std::move(record.value),
                            std::move(record.headers)});
        positions.push_back(position);
      }
    }
    changed_.notify_all();
    done(positions);
  }
  Result<std::unique_ptr<log::Consumer>> consumer(const std::string& group) override;
  Result<std::unique_ptr<log::Consumer>> scan(log::From) override {
    return Status(Code::kInternal, "not asked for");
  }
  Result<std::vector<log::Record>> newest() override { return std::vector<log::Record>{}; }
  Result<std::vector<log::PartitionLag>> lag(const std::string& group) override {
    return std::vector<log::PartitionLag>{{0, committed(group), end()}};
  }
  Status ready() override { return Status::ok(); }
  size_t queue_depth() const override { return 0; }
  void close() override {}
  const std::string& topic() const override { return topic_; }

  // As a topic that was deleted and made again: nothing is in it, and nobody has committed.
  void begin_anew() {
    std::lock_guard lock(mutex_);
    records_.clear();
    committed_.clear();
    ++deals;
    now_us += 1'000'000;
  }

  int64_t committed(const std::string& group) {
    std::lock_guard lock(mutex_);
    return committed_[group];
  }
  int64_t end() {
    std::lock_guard lock(mutex_);
    return static_cast<int64_t>(records_.size());
  }
  log::Record at(size_t offset) {
    std::lock_guard lock(mutex_);
    return records_.at(offset);
  }

 private:
  friend class FakeConsumer;
  const std::string topic_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<log::Record> records_;
  std::map<std::string, int64_t> committed_;
};

class FakeConsumer final : public log::Consumer {
 public:
  FakeConsumer(FakeLog& log, std::string group)
      : log_(log), group_(std::move(group)), next_(log.committed(group_)) {}

  Result<std::vector<log::Record>> poll(const log::PollLimits& limits) override {
    if (const Status fault = ask(log_.on_poll); !fault.is_ok()) return fault;
    std::unique_lock lock(log_.mutex_);
    log_.changed_.wait_for(lock, std::chrono::milliseconds(limits.wait_ms_max), [this] {
      return interrupted_ || next_ < static_cast<int64_t>(log_.records_.size());
    });
    if (const uint64_t deals = log_.deals; deals != deals_) {
      deals_ = deals;
      next_ = log_.committed_[group_];
    }
    std::vector<log::Record> records;
    size_t bytes = 0;
    while (next_ < static_cast<int64_t>(log_.records_.size()) &&
           records.size() < limits.records_max && (records.empty() || bytes < limits.bytes_max)) {
      records.push_back(log_.records_[static_cast<size_t>(next_++)]);
      bytes += records.back().key.size() + records.back().value.size();
    }
    log_.given += records.size();
    return records;
  }
  Status commit(const std::vector<log::Position>& next) override {
    if (const Status fault = ask(log_.on_commit); !fault.is_ok()) return fault;
    std::lock_guard lock(log_.mutex_);
    for (const log::Position& position : next) log_.committed_[group_] = position.offset;
    return Status::ok();
  }
  Status rewind() override {
    next_ = log_.committed(group_);
    return Status::ok();
  }
  void interrupt() override {
    {
      std::lock_guard lock(log_.mutex_);
      interrupted_ = true;
    }
    log_.changed_.notify_all();
  }

 private:
  FakeLog& log_;
  const std::string group_;
  int64_t next_;
  uint64_t deals_ = 0;
  bool interrupted_ = false;
};

inline Result<std::unique_ptr<log::Consumer>> FakeLog::consumer(const std::string& group) {
  if (const Status fault = ask(on_open); !fault.is_ok()) return fault;
  return std::unique_ptr<log::Consumer>(std::make_unique<FakeConsumer>(*this, group));
}

class FakeStore final : public store::DocumentStore {
 public:
  Fault on_upsert;
  // What the store says of a document instead of writing it.
  std::function<std::optional<store::UpsertResult>(const store::Document&)> on_document;

  Result<std::vector<store::UpsertResult>> upsert(std::span<const store::Document> batch) override {
    ++upserts;
    if (const Status fault = ask(on_upsert); !fault.is_ok()) return fault;
    std::vector<store::UpsertResult> results;
    for (const store::Document& document : batch) {
      std::optional<store::UpsertResult> said;
      if (on_document) said = on_document(document);
      results.push_back(said ? *said : store::UpsertResult{write(document), ""});
    }
    return results;
  }
  Status find(const store::Filter&, const store::FindOptions&, const store::Visit& visit) override {
    for (const auto& [id, document] : all()) {
      if (!visit(document)) break;
    }
    return Status::ok();
  }
  Result<uint64_t> count(const store::Filter&) override { return all().size(); }
  Result<std::vector<store::Neighbour>> similar(std::span<const float>, size_t,
                                                const store::Filter&) override {
    return std::vector<store::Neighbour>{};
  }
  Status remove(std::string_view metadata_id) override {
    std::lock_guard lock(mutex_);
    documents_.erase(std::string(metadata_id));
    return Status::ok();
  }
  Status ping() override { return Status::ok(); }

  std::map<std::string, store::Document> all() {
    std::lock_guard lock(mutex_);
    return documents_;
  }

  std::atomic<int> upserts = 0;

 private:
  store::Outcome write(const store::Document& document) {
    std::lock_guard lock(mutex_);
    const auto [found, inserted] = documents_.try_emplace(document.metadata_id, document);
    if (inserted) return store::Outcome::kInserted;
    if (found->second.version == document.version) return store::Outcome::kUnchanged;
    if (found->second.version > document.version) return store::Outcome::kStale;
    found->second = document;
    return store::Outcome::kUpdated;
  }

  std::mutex mutex_;
  std::map<std::string, store::Document> documents_;
};

class FakeArchive final : public archive::Archive {
 public:
  Fault on_put;

  Status put(std::string_view key, std::string_view body, std::string_view) override {
    ++puts;
    if (const Status fault = ask(on_put); !fault.is_ok()) return fault;
    std::lock_guard lock(mutex_);
    objects_[std::string(key)] = std::string(body);
    return Status::ok();
  }
  Result<std::string> get(std::string_view key) override {
    const auto objects = all();
    const auto found = objects.find(std::string(key));
    if (found == objects.end()) return Status(Code::kNotFound, std::string(key));
    return found->second;
  }
  Result<std::vector<archive::ObjectInfo>> list_page(std::string_view, std::string_view,
                                                     size_t) override {
    return Status(Code::kInternal, "not asked for");
  }
  Status remove(std::string_view key) override {
    std::lock_guard lock(mutex_);
    objects_.erase(std::string(key));
    return Status::ok();
  }
  Status ping() override { return Status::ok(); }

  std::map<std::string, std::string> all() {
    std::lock_guard lock(mutex_);
    return objects_;
  }

  std::atomic<int> puts = 0;

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> objects_;
};

}  // namespace ca4::worker
