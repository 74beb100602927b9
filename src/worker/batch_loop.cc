#include "worker/batch_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <random>
#include <utility>

#include "base/clock.h"
#include "worker/metrics.h"

namespace ca4::worker {

namespace {

// The gauge is read every few seconds at most; asking the log more often costs disk for nothing.
constexpr auto kLagInterval = std::chrono::seconds(1);

// A poll fails also while one partition of a topic can't be read; then events of the others wait in
// each pause.
constexpr int64_t kPollPauseMsMax = 1'000;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

size_t size_bytes(const log::Record& record) {
  return record.key.size() + record.value.size();
}

using Offsets = std::map<int32_t, int64_t>;

void note_last(std::span<const log::Record> batch, Offsets& last) {
  for (const log::Record& record : batch) last[record.position.partition] = record.position.offset;
}

// Whether `more` has records again: their partition went to another member and came back, and is
// read from what is committed; or their topic was made anew, and gives its offsets out again.
bool comes_again(const Offsets& last, std::span<const log::Record> more) {
  return std::ranges::any_of(more, [&last](const log::Record& record) {
    const auto found = last.find(record.position.partition);
    return found != last.end() && record.position.offset <= found->second;
  });
}

}  // namespace

BatchLoop::BatchLoop(log::EventLog& source, BatchLoopOptions options, LoopMetrics& metrics)
    : source_(source), options_(std::move(options)), metrics_(metrics) {}

void BatchLoop::run(const Handle& handle) {
  if (!open()) return;
  std::vector<log::Record> batch;
  while (gather(batch)) {
    if (!batch.empty()) {
      const auto start = std::chrono::steady_clock::now();
      note_oldest(batch);
      if (!handle(batch)) break;
      commit(batch);
      size_t bytes = 0;
      for (const log::Record& record : batch) bytes += size_bytes(record);
      metrics_.batch(batch.size(), bytes, seconds_since(start));
      oldest_us_ = 0;
      metrics_.age(0);
    }
    measure_lag();
    if (stop_.requested()) break;
  }
  std::lock_guard lock(mutex_);
  consumer_.reset();
}

void BatchLoop::stop() {
  stop_.request();
  std::lock_guard lock(mutex_);
  if (consumer_) consumer_->interrupt();
}

bool BatchLoop::open() {
  std::unique_ptr<log::Consumer> opened;
  const bool done = retry("open", [&] {
    if (stop_.requested()) return Status(Code::kCancelled, "stopped before the log was opened");
    Result<std::unique_ptr<log::Consumer>> consumer = source_.consumer(options_.group);
    if (consumer) opened = std::move(*consumer);
    return consumer.status();
  });
  if (!done) return false;
  std::lock_guard lock(mutex_);
  consumer_ = std::move(opened);
  // A stop that came while there was nothing to interrupt.
  return !stop_.requested();
}

bool BatchLoop::gather(std::vector<log::Record>& batch) {
  batch = std::exchange(held_, {});
  size_t bytes = 0;
  for (const log::Record& record : batch) bytes += size_bytes(record);
  Offsets last;  // of each partition, in this batch
  note_last(batch, last);
  SteadyTime deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.linger_ms);
  while (batch.size() < options_.records_max && bytes < options_.bytes_max) {
    log::PollLimits limits{options_.records_max - batch.size(), options_.bytes_max - bytes,
                           options_.poll_wait_ms_max};
    if (!batch.empty()) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) break;
      limits.wait_ms_max = std::min<int64_t>(limits.wait_ms_max, left.count());
    }
    std::vector<log::Record> more;
    const bool goes_on = batch.empty() ? poll(limits, more) : poll_on(limits, more);
    if (!goes_on) return !batch.empty();
    if (comes_again(last, more)) {
      held_ = std::move(more);
      break;
    }
    if (batch.empty()) {
      if (more.empty()) break;
      deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(options_.linger_ms);
    }
    for (const log::Record& record : more) bytes += size_bytes(record);
    note_last(more, last);
    std::move(more.begin(), more.end(), std::back_inserter(batch));
    if (options_.linger_ms == 0 || stop_.requested()) break;
    measure_lag();
  }
  return true;
}

bool BatchLoop::poll(const log::PollLimits& limits, std::vector<log::Record>& records) {
  const auto [min_ms, max_ms] = options_.backoff;
  return retry("poll", [&] { return poll_once(limits, records); },
               {std::min(min_ms, kPollPauseMsMax), std::min(max_ms, kPollPauseMsMax)});
}

// One that fails holds up the next batch; what is in hand waits for its linger alone.
bool BatchLoop::poll_on(const log::PollLimits& limits, std::vector<log::Record>& records) {
  const Status status = poll_once(limits, records);
  if (status.is_ok()) return true;
  poll_fails_ = true;
  metrics_.retry("poll");
  metrics_.failing("poll", true);
  (void)tell("poll", status);
  return stop_.wait_ms(std::min(limits.wait_ms_max, kPollPauseMsMax));
}

Status BatchLoop::poll_once(const log::PollLimits& limits, std::vector<log::Record>& records) {
  Result<std::vector<log::Record>> polled = consumer_->poll(limits);
  if (!polled) return polled.status();
  records = std::move(*polled);
  if (std::exchange(poll_fails_, false)) metrics_.failing("poll", false);
  return Status::ok();
}

void BatchLoop::commit(std::span<const log::Record> batch) {
  Offsets last;
  note_last(batch, last);
  // What comes again may also be of a topic that was made anew: this batch's offsets say nothing
  // there, and would take the group past records that are not handled yet.
  for (const log::Record& record : held_) last.erase(record.position.partition);
  std::vector<log::Position> positions;
  positions.reserve(last.size());
  for (const auto& [partition, offset] : last) positions.push_back({partition, offset + 1});

  // Whoever refuses a commit may have given the partition to another reader: trying the same commit
  // again could fail for ever, reading again from what is committed can't.
  const Status committed = consumer_->commit(positions);
  if (committed.is_ok()) {
    if (commit_backoff_) {
      metrics_.failing("commit", false);
      spdlog::info("{}: offsets are committed again", options_.group);
    }
    commit_backoff_.reset();
    return;
  }
  metrics_.retry("commit");
  metrics_.failing("commit", true);
  if (!commit_backoff_) {
    spdlog::warn("{}: offsets not committed, reading again from the last that were: {}",
                 options_.group, committed.to_string());
    commit_backoff_.emplace(options_.backoff, std::random_device{}());
  }
  held_.clear();  // comes again
  if (!stop_.wait_ms(commit_backoff_->next_ms())) return;
  retry("rewind", [this] { return consumer_->rewind(); });
}

void BatchLoop::note_oldest(std::span<const log::Record> batch) {
  oldest_us_ = std::numeric_limits<int64_t>::max();
  for (const log::Record& record : batch) {
    oldest_us_ = std::min(oldest_us_, record.appended_at_us);
  }
  measure_age();
}

// Of the batch in hand; records have the log's time, so a clock that is behind it is no negative
// age.
void BatchLoop::measure_age() {
  if (oldest_us_ == 0) return;
  const int64_t age_us = std::max<int64_t>(SystemClock().now_us() - oldest_us_, 0);
  metrics_.age(static_cast<double>(age_us) / 1e6);
}

// False where it was said a moment ago: of what is damaged in one of a topic's partitions poll
// tells whenever it has nothing of the others.
bool BatchLoop::tell(std::string_view step, const Status& failure) {
  const std::optional<size_t> kept_back =
      limiter_.allow(std::string(step), std::chrono::steady_clock::now());
  if (!kept_back) return false;
  spdlog::warn("{}: {} fails, trying again until it works: {}{}", options_.group, step,
               failure.to_string(), and_like_it(*kept_back));
  return true;
}

bool BatchLoop::retry(std::string_view step, const std::function<Status()>& attempt) {
  return retry(step, attempt, options_.backoff);
}

bool BatchLoop::retry(std::string_view step, const std::function<Status()>& attempt,
                      const BackoffLimits& pauses) {
  std::optional<Backoff> backoff;  // its seed takes 30 µs on a virtual machine
  const auto start = std::chrono::steady_clock::now();
  bool told = false;
  for (int failures = 0;; ++failures) {
    const Status status = attempt();
    if (status.is_ok()) {
      if (failures > 0) metrics_.failing(step, false);
      if (told) {
        spdlog::info("{}: {} works again after {} failures in {:.1f} s", options_.group, step,
                     failures, seconds_since(start));
      }
      return true;
    }
    if (status.code() == Code::kCancelled && stop_.requested()) return false;
    metrics_.retry(step);
    metrics_.failing(step, true);
    measure_lag();  // both grow while this lasts
    measure_age();
    if (failures == 0) backoff.emplace(pauses, std::random_device{}());
    told = told || tell(step, status);
    if (!stop_.wait_ms(backoff->next_ms())) {
      spdlog::warn("{}: stopped while {} fails; what is not committed comes again: {}",
                   options_.group, step, status.to_string());
      return false;
    }
  }
}

void BatchLoop::measure_lag() {
  const auto time = std::chrono::steady_clock::now();
  if (time - lag_measured_at_ < kLagInterval) return;
  lag_measured_at_ = time;
  const Result<std::vector<log::PartitionLag>> rows = source_.lag(options_.group);
  if (rows) metrics_.lag(*rows);  // else the next poll reports the same trouble
}

}  // namespace ca4::worker
