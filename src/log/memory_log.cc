#include "log/memory_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "log/append_queue.h"

namespace ca4::log {

struct MemoryLog::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Record> records;
  std::deque<size_t> sizes;  // of `records`, in bytes
  size_t bytes = 0;
  int64_t end = 0;
  std::map<std::string, int64_t> committed;
  bool closed = false;

  int64_t begin() const { return end - static_cast<int64_t>(records.size()); }

  // Drops the oldest records that every group has committed while `over` says so.
  template <class Over>
  void make_room(Over over) {
    int64_t below = end - 1;
    for (const auto& [group, next] : committed) below = std::min(below, next);
    while (over() && begin() < below) {
      bytes -= sizes.front();
      sizes.pop_front();
      records.pop_front();
    }
  }
};

namespace {

class MemoryConsumer final : public Consumer {
 public:
  MemoryConsumer(std::shared_ptr<MemoryLog::State> state, std::string group)
      : state_(std::move(state)), group_(std::move(group)) {
    std::lock_guard lock(state_->mutex);
    next_ = state_->committed.try_emplace(group_, state_->begin()).first->second;
  }
  MemoryConsumer(std::shared_ptr<MemoryLog::State> state, From from) : state_(std::move(state)) {
    std::lock_guard lock(state_->mutex);
    scan_from_ = from == From::kEnd ? state_->end : state_->begin();
    next_ = *scan_from_;
  }

  Result<std::vector<Record>> poll(const PollLimits& limits) override {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait_for(lock, std::chrono::milliseconds(limits.wait_ms_max),
                             [this] { return interrupted_ || state_->end > next_; });
    std::vector<Record> polled;
    if (interrupted_) return polled;
    next_ = std::max(next_, state_->begin());
    size_t bytes = 0;
    while (next_ < state_->end && polled.size() < limits.records_max) {
      const Record& record = state_->records[static_cast<size_t>(next_ - state_->begin())];
      bytes += record.key.size() + record.value.size();
      if (!polled.empty() && bytes > limits.bytes_max) break;
      polled.push_back(record);
      ++next_;
    }
    return polled;
  }

  Status commit(const std::vector<Position>& next) override {
    if (scan_from_) return {Code::kInvalidArgument, "a scan has no position to commit"};
    std::lock_guard lock(state_->mutex);
    for (const Position& position : next) {
      if (position.partition != 0 || position.offset < 0 || position.offset > state_->end) {
        return {Code::kInvalidArgument,
                fmt::format("group {} commits partition {} offset {}; there is partition 0 up to "
                            "{}",
                            group_, position.partition, position.offset, state_->end)};
      }
    }
    if (!next.empty()) state_->committed[group_] = next.back().offset;
    return Status::ok();
  }

  Status rewind() override {
    std::lock_guard lock(state_->mutex);
    next_ = scan_from_ ? *scan_from_ : state_->committed[group_];
    return Status::ok();
  }

  void interrupt() override {
    {
      std::lock_guard lock(state_->mutex);
      interrupted_ = true;
    }
    state_->changed.notify_all();
  }

 private:
  const std::shared_ptr<MemoryLog::State> state_;
  const std::string group_;
  std::optional<int64_t> scan_from_;
  int64_t next_ = 0;
  bool interrupted_ = false;
};

}  // namespace

MemoryLog::MemoryLog(MemoryLogOptions options, const Clock& clock)
    : options_(std::move(options)), clock_(clock), state_(std::make_shared<State>()) {}

MemoryLog::~MemoryLog() {
  close();
}

void MemoryLog::append(std::vector<NewRecord> batch, AppendDone done) {
  const size_t bytes = batch_bytes(batch);
  if (bytes > options_.bytes_max || batch.size() > options_.records_max) {
    return done(Status(Code::kTooLarge, "the batch is larger than the whole log may be"));
  }
  std::unique_lock lock(state_->mutex);
  if (state_->closed) {
    lock.unlock();
    return done(Status(Code::kCancelled, "the log is closed"));
  }
  const auto over = [&] {
    return state_->bytes + bytes > options_.bytes_max ||
           state_->records.size() + batch.size() > options_.records_max;
  };
  state_->make_room(over);
  if (over()) {
    lock.unlock();
    return done(Status(Code::kOverloaded, "log is full: records wait for a worker"));
  }
  std::vector<Position> positions;
  for (NewRecord& record : batch) {
    state_->sizes.push_back(record_bytes(record));
    positions.push_back({0, state_->end++});
    state_->records.push_back({positions.back(), clock_.now_us(), std::move(record.key),
                               std::move(record.value), std::move(record.headers)});
  }
  state_->bytes += bytes;
  lock.unlock();
  state_->changed.notify_all();
  done(std::move(positions));
}

Status MemoryLog::admits(const NewRecord& record) const {
  if (record_bytes(record) <= options_.bytes_max) return Status::ok();
  return {Code::kTooLarge, "the record is larger than the whole log may be"};
}

Result<std::unique_ptr<Consumer>> MemoryLog::consumer(const std::string& group) {
  return std::unique_ptr<Consumer>(std::make_unique<MemoryConsumer>(state_, group));
}

Result<std::unique_ptr<Consumer>> MemoryLog::scan(From from) {
  return std::unique_ptr<Consumer>(std::make_unique<MemoryConsumer>(state_, from));
}

Result<std::vector<Record>> MemoryLog::newest() {
  std::lock_guard lock(state_->mutex);
  if (state_->records.empty()) return std::vector<Record>();
  return std::vector<Record>{state_->records.back()};
}

Result<std::vector<PartitionLag>> MemoryLog::lag(const std::string& group) {
  std::lock_guard lock(state_->mutex);
  const auto known = state_->committed.find(group);
  const int64_t begin = state_->begin();
  const int64_t next = known == state_->committed.end() ? begin : std::max(known->second, begin);
  return std::vector<PartitionLag>{{0, next, state_->end}};
}

Status MemoryLog::ready() {
  std::lock_guard lock(state_->mutex);
  state_->make_room([&] {
    return state_->bytes >= options_.bytes_max || state_->records.size() >= options_.records_max;
  });
  if (state_->bytes < options_.bytes_max && state_->records.size() < options_.records_max) {
    return Status::ok();
  }
  return {Code::kOverloaded, "log is full: records wait for a worker"};
}

void MemoryLog::close() {
  std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

}  // namespace ca4::log
