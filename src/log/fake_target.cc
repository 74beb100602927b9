#include "log/fake_target.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ca4::log {
namespace {

Status refusal() {
  return {Code::kTooLarge, "the target takes no such record"};
}

}  // namespace

FakeTarget::FakeTarget(std::unique_ptr<EventLog> inner)
    : inner_(std::move(inner)), thread_(&FakeTarget::run, this) {}

FakeTarget::~FakeTarget() {
  close();
}

void FakeTarget::set(Fault fault) {
  {
    std::lock_guard lock(mutex_);
    if (fault_ == Fault::kHangs) {
      for (Queued& queued : queue_) queued.late = true;
    }
    fault_ = fault;
  }
  changed_.notify_all();
}

void FakeTarget::refuse(std::function<bool(const NewRecord&)> refused) {
  std::lock_guard lock(mutex_);
  refused_ = std::move(refused);
}

int FakeTarget::lost_acks(const std::string& value) const {
  std::lock_guard lock(mutex_);
  const auto lost = lost_acks_.find(value);
  return lost == lost_acks_.end() ? 0 : lost->second;
}

void FakeTarget::append(std::vector<NewRecord> batch, AppendDone done) {
  ++appends_;
  largest_ = std::max<size_t>(largest_, batch.size());
  std::unique_lock lock(mutex_);
  if (closing_) {
    lock.unlock();
    return done(Status(Code::kCancelled, "the target is closed"));
  }
  queue_.push_back({{std::move(batch), std::move(done)}});
  lock.unlock();
  changed_.notify_all();
}

void FakeTarget::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock,
                  [this] { return closing_ || (!queue_.empty() && fault_ != Fault::kHangs); });
    if (queue_.empty()) return;
    Queued queued = std::move(queue_.front());
    const std::vector<NewRecord>& records = queued.append.records;
    queue_.pop_front();
    const Fault fault = fault_ == Fault::kHangs ? Fault::kAway : fault_;
    const bool refused =
        refused_ && std::any_of(records.begin(), records.end(), std::cref(refused_));
    lock.unlock();
    if (delay_us_ > 0) std::this_thread::sleep_for(std::chrono::microseconds(delay_us_));
    answer(std::move(queued), fault, refused);
    lock.lock();
  }
}

void FakeTarget::answer(Queued queued, Fault fault, bool refused) {
  PendingAppend& append = queued.append;
  const Status away(Code::kUnavailable, "the target is away");
  if (fault == Fault::kAway) return append.done(away);
  if (fault == Fault::kFull) return append.done(Status(Code::kOverloaded, "the target is full"));
  if (refused) return append.done(refusal());
  std::vector<std::string> values;
  for (const NewRecord& record : append.records) values.push_back(record.value);
  auto kept = append_and_wait(*inner_, std::move(append.records));
  if (fault == Fault::kAckLost || queued.late) {
    std::lock_guard lock(mutex_);
    for (const std::string& value : values) ++lost_acks_[value];
  }
  append.done(fault == Fault::kAckLost ? away : std::move(kept));
}

Status FakeTarget::admits(const NewRecord& record) const {
  std::lock_guard lock(mutex_);
  return refused_ && refused_(record) ? refusal() : Status::ok();
}

Status FakeTarget::reachable() const {
  std::lock_guard lock(mutex_);
  if (fault_ == Fault::kNone) return Status::ok();
  return {Code::kUnavailable, "the target is away"};
}

Result<std::unique_ptr<Consumer>> FakeTarget::consumer(const std::string& group) {
  return inner_->consumer(group);
}

Result<std::unique_ptr<Consumer>> FakeTarget::scan(From from) {
  return inner_->scan(from);
}

Result<std::vector<Record>> FakeTarget::newest() {
  const Status status = reachable();
  return status.is_ok() ? inner_->newest() : status;
}

Result<std::vector<PartitionLag>> FakeTarget::lag(const std::string& group) {
  const Status status = reachable();
  return status.is_ok() ? inner_->lag(group) : status;
}

Status FakeTarget::ready() {
  return honest_ ? reachable() : Status::ok();
}

size_t FakeTarget::queue_depth() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void FakeTarget::close() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  inner_->close();
}

}  // namespace ca4::log
