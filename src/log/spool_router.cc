#include "log/spool_router.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/halves.h"

namespace ca4::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

SpoolRouter::SpoolRouter(EmbeddedLog& spool, EventLog& target, const SpooledLogOptions& options,
                         const Clock& clock, const PartitionLag& waiting,
                         std::function<void()> wake)
    : spool_(spool),
      target_(target),
      options_(options),
      clock_(clock),
      wake_(std::move(wake)),
      state_(OutboxState::kDirect),
      spool_end_(waiting.end),
      forwarded_to_(waiting.committed) {
  const Status ready = target.ready();
  if (!ready.is_ok()) told_.last_error = ready.message();
  enter(waiting.lag() > 0 || !ready.is_ok() ? OutboxState::kSpooling : OutboxState::kDirect);
}

void SpoolRouter::enter(OutboxState state) {
  state_ = state;
  told_.state_since_us = clock_.now_us();
}

void SpoolRouter::append(std::vector<NewRecord> batch, AppendDone done) {
  PendingAppend append{std::move(batch), std::move(done)};
  append.bytes = batch_bytes(append.records);
  // The target takes one copy, the other is for the spool if it fails; made before the lock is
  // taken.
  std::vector<NewRecord> copy;
  if (state_ == OutboxState::kDirect) copy = append.records;
  std::unique_lock lock(mutex_);
  if (const Status refusal = refusal_of(append); !refusal.is_ok()) {
    lock.unlock();
    return append.done(refusal);
  }
  bool turned = false;
  if (state_ == OutboxState::kDirect && !fits_in_flight(append)) {
    turned = turn({Code::kOverloaded, fmt::format("{} appends wait for an answer, {} bytes",
                                                  unanswered_, flying_bytes_)},
                  options_.stall_ms_max);
  }
  switch (state_.load()) {
    case OutboxState::kDirect: {
      if (copy.size() != append.records.size()) copy = append.records;
      const uint64_t number = take_off(std::move(append));
      lock.unlock();
      return fly(number, std::move(copy));
    }
    case OutboxState::kSpooling:
      ++spool_pending_;
      lock.unlock();
      return to_spool(std::move(append), false);
    case OutboxState::kTurning:
    case OutboxState::kReturning:
      held_bytes_ += append.bytes;
      held_records_ += append.records.size();
      held_.push_back(std::move(append));
  }
  lock.unlock();
  if (turned) wake_();
}

Status SpoolRouter::refusal_of(const PendingAppend& append) const {
  if (closed_) return {Code::kCancelled, "the log is closed"};
  Status room = check_room({options_.queue_bytes_max, options_.queue_records_max},
                           {flying_bytes_ + held_bytes_, flying_records_ + held_records_},
                           {append.bytes, append.records.size()});
  if (!room.is_ok()) return room;
  return state_ == OutboxState::kSpooling ? age_refusal() : Status::ok();
}

Status SpoolRouter::age_refusal() const {
  if (options_.age_s_max == 0 || !told_.oldest_us) return Status::ok();
  const int64_t age_s = (clock_.now_us() - *told_.oldest_us) / 1'000'000;
  if (age_s <= options_.age_s_max) return Status::ok();
  return {Code::kOverloaded,
          fmt::format("the oldest event in the outbox {} waits for {} s, over "
                      "kafka.outbox_age_s_max ({}); new ones are taken once it was delivered: {}",
                      spool_.path(), age_s, options_.age_s_max, told_.last_error)};
}

bool SpoolRouter::fits_in_flight(const PendingAppend& append) const {
  return flying_.empty() ||
         (flying_bytes_ + append.bytes <= options_.queue_bytes_max / 2 &&
          flying_records_ + append.records.size() <= options_.queue_records_max / 2);
}

uint64_t SpoolRouter::take_off(PendingAppend append) {
  if (unanswered_++ == 0) progress_at_ = steady_clock::now();
  flying_bytes_ += append.bytes;
  flying_records_ += append.records.size();
  flying_.emplace(next_number_, Flying{std::move(append)});
  return next_number_++;
}

void SpoolRouter::fly(uint64_t number, std::vector<NewRecord> records) {
  target_.append(std::move(records), [this, number](Result<std::vector<Position>> result) {
    answered(number, std::move(result));
  });
}

void SpoolRouter::answered(uint64_t number, Result<std::vector<Position>> result) {
  std::unique_lock lock(mutex_);
  const auto flying = flying_.find(number);
  if (flying == flying_.end()) return;  // given up: the spool has it
  --unanswered_;
  // kOverloaded is no refusal: a queue that is full although it is emptied as fast as the target
  // can is what a disk is for.
  if (!result && !is_final_refusal(result.status())) {
    flying->second.failed = true;
    turn(result.status(), options_.turn_ms_max);
    lock.unlock();
    return wake_();
  }
  progress_at_ = steady_clock::now();
  const PendingAppend append = std::move(flying->second.append);
  flying_bytes_ -= append.bytes;
  flying_records_ -= append.records.size();
  flying_.erase(flying);
  const bool turn_over = state_ == OutboxState::kTurning && unanswered_ == 0;
  lock.unlock();
  append.done(std::move(result));
  if (turn_over) wake_();
}

// True when the state changed.
bool SpoolRouter::turn(const Status& why, int64_t patience_ms) {
  if (state_ == OutboxState::kTurning) {
    turn_patience_ms_ = std::min(turn_patience_ms_, patience_ms);
    return false;
  }
  if (state_ == OutboxState::kSpooling) return false;
  enter(OutboxState::kTurning);
  turned_at_ = steady_clock::now();
  turn_patience_ms_ = patience_ms;
  told_.last_error = why.message();
  ++told_.turns;
  return true;
}

void SpoolRouter::check_target() {
  const Status ready = target_.ready();
  std::lock_guard lock(mutex_);
  if (state_ != OutboxState::kDirect) return;
  if (!ready.is_ok()) {
    turn(ready, options_.turn_ms_max);
  } else if (unanswered_ > 0 &&
             steady_clock::now() - progress_at_ > milliseconds(options_.stall_ms_max)) {
    turn({Code::kUnavailable, fmt::format("none of {} appends was answered within {} ms",
                                          unanswered_, options_.stall_ms_max)},
         0);
  }
}

// While answers come the target lives, and what it has is worth waiting for: sent again, it would
// load a slow link twice.
SpoolRouter::Time SpoolRouter::turn_over_at() const {
  std::lock_guard lock(mutex_);
  if (unanswered_ == 0) return Time::min();
  return std::max(turned_at_, progress_at_) + milliseconds(turn_patience_ms_);
}

void SpoolRouter::finish_turn() {
  spool_flying();
  spool_held();
}

// In order of arrival, whether the target failed them or did not answer.
void SpoolRouter::spool_flying() {
  std::unique_lock lock(mutex_);
  std::map<uint64_t, Flying> flying = std::exchange(flying_, {});
  flying_bytes_ = 0;
  flying_records_ = 0;
  unanswered_ = 0;
  spool_pending_ += flying.size();
  for (const auto& [number, one] : flying) {
    if (!one.failed) told_.given_up += one.append.records.size();
  }
  lock.unlock();
  for (auto& [number, one] : flying) to_spool(std::move(one.append), true);
}

// What comes meanwhile is held behind the rest, until none is left.
void SpoolRouter::spool_held() {
  std::unique_lock lock(mutex_);
  while (!held_.empty()) {
    std::deque<PendingAppend> held = std::exchange(held_, {});
    held_bytes_ = 0;
    held_records_ = 0;
    spool_pending_ += held.size();
    lock.unlock();
    for (PendingAppend& append : held) to_spool(std::move(append), false);
    lock.lock();
  }
  enter(OutboxState::kSpooling);
}

void SpoolRouter::to_spool(PendingAppend append, bool sent) {
  Spooling spooling{std::move(append.done), append.records.size(), sent};
  spool_.append(std::move(append.records),
                [this, spooling = std::move(spooling)](Result<std::vector<Position>> kept) {
                  spooled(spooling, std::move(kept));
                });
}

void SpoolRouter::spooled(const Spooling& append, Result<std::vector<Position>> result) {
  std::unique_lock lock(mutex_);
  --spool_pending_;
  std::string trouble;
  if (!result) {
    trouble = told_.last_error;
  } else if (append.records > 0) {
    spool_end_ = std::max(spool_end_, result->back().offset + 1);
    told_.spooled += append.records;
  }
  lock.unlock();
  if (result) {
    for (Position& position : *result) position.partition = kOutboxPartition;
    return append.done(std::move(result));
  }
  const Status why = result.status();
  append.done(
      Status(why.code(), fmt::format("outbox: {}{}{}{}", why.message(),
                                     trouble.empty() ? "" : "; it is needed because: ", trouble,
                                     append.sent ? "; Kafka may have it all the same" : "")));
}

void SpoolRouter::begin_return() {
  std::lock_guard lock(mutex_);
  enter(OutboxState::kReturning);
  returning_at_ = steady_clock::now();
}

SpoolRouter::Time SpoolRouter::return_over_at() const {
  std::lock_guard lock(mutex_);
  return returning_at_ + milliseconds(options_.return_ms_max);
}

bool SpoolRouter::drained() const {
  std::lock_guard lock(mutex_);
  return spool_pending_ == 0 && forwarded_to_ >= spool_end_;
}

void SpoolRouter::finish_return() {
  std::unique_lock lock(mutex_);
  // One at a time: the target may fail the first, and then the others are held on, behind it.
  while (state_ == OutboxState::kReturning && !held_.empty()) {
    PendingAppend append = std::move(held_.front());
    held_.pop_front();
    held_bytes_ -= append.bytes;
    held_records_ -= append.records.size();
    std::vector<NewRecord> copy = append.records;
    const uint64_t number = take_off(std::move(append));
    lock.unlock();
    fly(number, std::move(copy));
    lock.lock();
  }
  if (state_ != OutboxState::kReturning) return;
  enter(OutboxState::kDirect);
  told_.last_error.clear();
}

void SpoolRouter::cancel_return() {
  if (state_ == OutboxState::kReturning) spool_held();
}

Status SpoolRouter::ready() const {
  if (state_ == OutboxState::kDirect && target_.ready().is_ok()) return Status::ok();
  const Status spool = spool_.ready();
  if (!spool.is_ok()) return {spool.code(), "outbox: " + spool.message()};
  std::lock_guard lock(mutex_);
  return age_refusal();
}

size_t SpoolRouter::depth() const {
  const size_t spool = spool_.queue_depth();
  std::lock_guard lock(mutex_);
  return flying_.size() + held_.size() + spool;
}

int64_t SpoolRouter::waiting_records() const {
  std::lock_guard lock(mutex_);
  return std::max<int64_t>(spool_end_ - forwarded_to_, 0);
}

OutboxStatus SpoolRouter::status() const {
  const int64_t used = spool_.bytes_used();
  std::lock_guard lock(mutex_);
  OutboxStatus status = told_;
  status.state = state_;
  status.waiting_records = std::max<int64_t>(spool_end_ - forwarded_to_, 0);
  status.bytes_used = used;
  status.bytes_max = spool_.bytes_max();
  return status;
}

void SpoolRouter::note_forwarded(int64_t next, uint64_t records) {
  std::lock_guard lock(mutex_);
  forwarded_to_ = next;
  told_.forwarded += records;
}

void SpoolRouter::note_refused(int64_t next) {
  std::lock_guard lock(mutex_);
  forwarded_to_ = next;
  ++told_.refused;
}

void SpoolRouter::note_oldest(std::optional<int64_t> appended_at_us) {
  std::lock_guard lock(mutex_);
  told_.oldest_us = appended_at_us;
}

void SpoolRouter::note_trouble(const Status& why) {
  std::lock_guard lock(mutex_);
  told_.last_error = why.message();
}

void SpoolRouter::refuse_new() {
  std::lock_guard lock(mutex_);
  closed_ = true;
}

void SpoolRouter::spool_the_rest() {
  finish_turn();
}

}  // namespace ca4::log
