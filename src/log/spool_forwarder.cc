#include "log/spool_forwarder.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/halves.h"

namespace ca4::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a poll waits while appends are held for it. Only as long as the spool's disk takes.
constexpr int64_t kHeldPollMs = 5;

Status stopped_early() {
  return {Code::kCancelled, "stopped before the target has answered"};
}

}  // namespace

SpoolForwarder::SpoolForwarder(SpoolRouter& router, std::unique_ptr<Consumer> reader,
                               EventLog& target, KeepRefused keep_refused,
                               const SpooledLogOptions& options)
    : router_(router),
      reader_(std::move(reader)),
      target_(target),
      keep_refused_(std::move(keep_refused)),
      options_(options),
      send_max_(options.batch_records_max),
      backoff_(options.backoff, std::random_device{}()) {}

void SpoolForwarder::start() {
  thread_ = std::thread(&SpoolForwarder::run, this);
}

void SpoolForwarder::stop() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  reader_->interrupt();
  if (thread_.joinable()) thread_.join();
}

void SpoolForwarder::wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

bool SpoolForwarder::stopped() const {
  std::lock_guard lock(mutex_);
  return stop_;
}

void SpoolForwarder::wait_until(Time time) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, time, [this] { return woken_ || stop_; });
  woken_ = false;
}

// False: a stop came.
bool SpoolForwarder::pause() {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, milliseconds(backoff_.next_ms()), [this] { return stop_; });
}

void SpoolForwarder::run() {
  spooling_since_ = steady_clock::now();
  while (!stopped()) {
    switch (router_.state()) {
      case OutboxState::kDirect:
        router_.check_target();
        if (router_.state() != OutboxState::kDirect) break;
        wait_until(steady_clock::now() + milliseconds(options_.watch_ms));
        break;
      case OutboxState::kTurning:
        turn();
        break;
      case OutboxState::kSpooling:
      case OutboxState::kReturning:
        step();
    }
  }
}

void SpoolForwarder::turn() {
  const Time over_at = router_.turn_over_at();
  if (steady_clock::now() < over_at) return wait_until(over_at);
  router_.finish_turn();
  spooling_since_ = steady_clock::now();
}

void SpoolForwarder::step() {
  keep_time();
  if (at_ == batch_.size() && !load()) return;
  if (batch_.empty()) return idle();
  const size_t count = std::min(send_max_, batch_.size() - at_);
  const Status status = try_in_halves(
      count, [this](size_t, size_t some) { return forward(some); },
      [this](size_t, const Status& why) { return refuse(why); });
  if (status.is_ok()) {
    send_max_ = options_.batch_records_max;
  } else if (!stopped()) {
    trouble(status);
  }
}

// All that was in the spool has been sent.
void SpoolForwarder::idle() {
  if (!router_.drained()) return;
  if (router_.state() == OutboxState::kReturning) {
    router_.finish_return();
    if (router_.state() == OutboxState::kDirect) tell_direct();
    return;
  }
  const Status ready = target_.ready();
  if (!ready.is_ok()) return router_.note_trouble(ready);
  router_.begin_return();
}

void SpoolForwarder::keep_time() {
  tell_waiting();
  const bool returning = router_.state() == OutboxState::kReturning;
  if (returning && steady_clock::now() > router_.return_over_at()) router_.cancel_return();
}

// The next batch, which may be empty. False after a failure, and its pause.
bool SpoolForwarder::load() {
  const bool returning = router_.state() == OutboxState::kReturning;
  batch_.clear();
  at_ = 0;
  Result<std::vector<Record>> polled =
      reader_->poll({options_.batch_records_max, options_.batch_bytes_max,
                     returning ? kHeldPollMs : options_.watch_ms});
  if (!polled) {
    trouble(polled.status());
    return false;
  }
  batch_ = std::move(*polled);
  tell_oldest();
  return true;
}

// What the target is never given is refused as by it: for good.
Status SpoolForwarder::check_whole(const Record& record) const {
  if (!options_.check_whole) return Status::ok();
  const Status whole = options_.check_whole(record);
  return whole.is_ok() ? whole
                       : Status(Code::kInvalidArgument, "damaged on this disk: " + whole.message());
}

Status SpoolForwarder::send(size_t count) {
  std::vector<NewRecord> records;
  records.reserve(count);
  for (size_t i = at_; i < at_ + count; ++i) {
    if (Status damaged = check_whole(batch_[i]); !damaged.is_ok()) return damaged;
    records.push_back({batch_[i].key, batch_[i].value, batch_[i].headers});
  }
  std::unique_lock lock(mutex_);
  answer_.reset();
  const uint64_t number = ++send_number_;
  lock.unlock();
  target_.append(std::move(records), [this, number](const Result<std::vector<Position>>& result) {
    {
      std::lock_guard answering(mutex_);
      if (number == send_number_) answer_ = result.status();
    }
    changed_.notify_all();
  });
  lock.lock();
  const auto over = [this] { return answer_.has_value() || stop_; };
  while (!over()) {
    // Whoever is held must not wait longer than the return may take. The batch may: it has no
    // client.
    if (router_.state() != OutboxState::kReturning) {
      changed_.wait(lock, over);
    } else if (!changed_.wait_until(lock, router_.return_over_at(), over)) {
      lock.unlock();
      router_.cancel_return();
      lock.lock();
    }
  }
  return answer_.value_or(stopped_early());
}

// The next `count` records of the batch, to the target.
Status SpoolForwarder::forward(size_t count) {
  keep_time();
  const auto began = steady_clock::now();
  const Status status = send(count);
  if (!status.is_ok()) return status;
  const std::chrono::duration<double, std::milli> took = steady_clock::now() - began;
  if (!commit(count)) return stopped_early();
  router_.note_forwarded(batch_[at_ - 1].position.offset + 1, count);
  tell_oldest();
  backoff_.reset();
  // Under load the spool is never seen empty. Once the rest of it takes a fraction of the time that
  // appends may be held for, they are held.
  const double rest_ms =
      took.count() / static_cast<double>(count) * static_cast<double>(router_.waiting_records());
  if (router_.state() == OutboxState::kSpooling &&
      rest_ms < static_cast<double>(options_.return_ms_max) / 4) {
    router_.begin_return();
  }
  return status;
}

// Makes the next `count` records of the batch done with. A commit that fails is tried again until
// it does not: sending on would make what a crash sends again grow. False: a stop came.
bool SpoolForwarder::commit(size_t count) {
  const Position next{0, batch_[at_ + count - 1].position.offset + 1};
  while (true) {
    const Status committed = reader_->commit({next});
    if (committed.is_ok()) break;
    router_.note_trouble(committed);
    router_.cancel_return();
    if (!pause()) return false;
  }
  at_ += count;
  return true;
}

// The next record of the batch, alone, is what the target refuses for good.
Status SpoolForwarder::refuse(const Status& why) {
  while (true) {
    const Status kept = keep_refused_(batch_[at_], why);
    if (kept.is_ok()) break;
    router_.note_trouble(kept);
    router_.cancel_return();
    if (!pause()) return stopped_early();
  }
  if (!commit(1)) return stopped_early();
  router_.note_refused(batch_[at_ - 1].position.offset + 1);
  tell_oldest();
  return Status::ok();
}

// The next try is with one record: a large batch would be lost to a target that is still away.
void SpoolForwarder::trouble(const Status& why) {
  router_.note_trouble(why);
  router_.cancel_return();
  send_max_ = 1;
  (void)pause();
}

void SpoolForwarder::tell_oldest() {
  router_.note_oldest(at_ < batch_.size() ? std::optional(batch_[at_].appended_at_us)
                                          : std::nullopt);
}

// A target that is not connected yet, as at every start, is no news; that events wait is, or that
// it stays away.
void SpoolForwarder::tell_waiting() {
  if (told_waiting_) return;
  const bool stays_away =
      steady_clock::now() - spooling_since_ > milliseconds(options_.stall_ms_max);
  if (!stays_away && router_.waiting_records() == 0) return;
  told_waiting_ = true;
  if (options_.changed) options_.changed(router_.status());
}

void SpoolForwarder::tell_direct() {
  if (!std::exchange(told_waiting_, false)) return;
  if (options_.changed) options_.changed(router_.status());
}

}  // namespace ca4::log
