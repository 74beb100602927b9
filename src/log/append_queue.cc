#include "log/append_queue.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace ca4::log {

size_t record_bytes(const NewRecord& record) {
  size_t bytes = record.key.size() + record.value.size();
  for (const auto& [name, value] : record.headers) bytes += name.size() + value.size();
  return bytes;
}

size_t batch_bytes(const std::vector<NewRecord>& batch) {
  size_t bytes = 0;
  for (const NewRecord& record : batch) bytes += record_bytes(record);
  return bytes;
}

Status fits_queue(const NewRecord& record, size_t bytes_max) {
  const size_t bytes = record_bytes(record);
  if (bytes <= bytes_max) return Status::ok();
  return {Code::kTooLarge,
          fmt::format("a record of {} bytes is over log.queue_bytes_max, {}", bytes, bytes_max)};
}

Status check_room(const QueueLoad& limit, const QueueLoad& used, const QueueLoad& more) {
  if (more.bytes > limit.bytes || more.records > limit.records) {
    return {Code::kTooLarge,
            fmt::format("a batch of {} records and {} bytes is over the log queue's limit of {} "
                        "records and {} bytes",
                        more.records, more.bytes, limit.records, limit.bytes)};
  }
  if (used.bytes + more.bytes <= limit.bytes && used.records + more.records <= limit.records) {
    return Status::ok();
  }
  return {Code::kOverloaded,
          fmt::format("the log's queue is full: {} records and {} bytes wait for an answer",
                      used.records, used.bytes)};
}

Status AppendQueue::push(PendingAppend& append) {
  append.bytes = batch_bytes(append.records);
  std::unique_lock lock(mutex_);
  if (closed_) return {Code::kCancelled, "the log is closed"};
  Status room = check_room({limits_.bytes_max, limits_.records_max}, {bytes_, records_},
                           {append.bytes, append.records.size()});
  if (!room.is_ok()) return room;
  bytes_ += append.bytes;
  records_ += append.records.size();
  ++depth_;
  waiting_.push_back(std::move(append));
  const bool wake = waiting_.size() == waiting_for_;
  lock.unlock();
  if (wake) changed_.notify_one();
  return Status::ok();
}

std::optional<std::vector<PendingAppend>> AppendQueue::take(std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  waiting_for_ = 1;
  changed_.wait_for(lock, timeout, [this] { return closed_ || !waiting_.empty(); });
  if (waiting_.empty()) return closed_ ? std::nullopt : std::optional(take_group());
  if (!closed_ && last_group_ > 1 && waiting_.size() < last_group_) {
    waiting_for_ = last_group_;
    changed_.wait_for(lock, limits_.linger,
                      [this] { return closed_ || waiting_.size() >= last_group_; });
  }
  return take_group();
}

std::vector<PendingAppend> AppendQueue::take_group() {
  size_t bytes = 0;
  auto end = waiting_.begin();
  while (end != waiting_.end() && bytes < limits_.group_bytes_max) bytes += (end++)->bytes;
  std::vector<PendingAppend> group(std::make_move_iterator(waiting_.begin()),
                                   std::make_move_iterator(end));
  waiting_.erase(waiting_.begin(), end);
  if (!group.empty()) last_group_ = group.size();
  return group;
}

void AppendQueue::release(const std::vector<PendingAppend>& group) {
  std::lock_guard lock(mutex_);
  for (const PendingAppend& append : group) {
    bytes_ -= append.bytes;
    records_ -= append.records.size();
    --depth_;
  }
}

void AppendQueue::close() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  changed_.notify_all();
}

}  // namespace ca4::log
