#include "log/embedded_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>

namespace ca4::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

}  // namespace

int64_t resume_at(std::optional<int64_t> committed, int64_t begin, int64_t end) {
  if (!committed || *committed > end) return begin;
  return std::max(*committed, begin);
}

EmbeddedConsumer::EmbeddedConsumer(std::string path, std::string group,
                                   std::shared_ptr<GroupOffsets> offsets,
                                   std::shared_ptr<Extent> extent, int64_t poll_ms)
    : path_(std::move(path)),
      group_(std::move(group)),
      offsets_(std::move(offsets)),
      writer_is_here_(extent != nullptr),
      extent_(extent ? std::move(extent) : std::make_shared<Extent>()),
      poll_ms_(poll_ms) {}

// True when there is a log to read; the first time, goes to the committed position.
Result<bool> EmbeddedConsumer::opened() {
  if (reader_) return true;
  Result<RecordReader> reader = RecordReader::open(path_);
  if (!reader) {
    if (reader.status().code() == Code::kNotFound) return false;
    return reader.status();
  }
  reader_.emplace(std::move(*reader));
  Result<int64_t> next = committed();
  if (!next) {
    reader_.reset();
    return next.status();
  }
  next_ = *next;
  return true;
}

Result<int64_t> EmbeddedConsumer::committed() {
  if (scan_from_) return *scan_from_;
  Result<std::optional<int64_t>> position = std::optional<int64_t>();
  if (offsets_) position = offsets_->get(group_, reader_->log_id());
  if (!position) return position.status();
  Result<int64_t> end = reader_->end();
  if (!end) return end.status();
  Result<std::optional<int64_t>> first = reader_->first();
  if (first) return resume_at(*position, first->value_or(*end), *end);
  // The oldest records are damaged: they must come as damaged, not be left out.
  if (first.status().code() == Code::kCorruption) return resume_at(*position, 0, *end);
  return first.status();
}

Result<std::unique_ptr<EmbeddedConsumer>> EmbeddedConsumer::scan(From from, std::string path,
                                                                 std::shared_ptr<Extent> extent,
                                                                 int64_t poll_ms) {
  auto scan = std::make_unique<EmbeddedConsumer>(std::move(path), kNobody, nullptr,
                                                 std::move(extent), poll_ms);
  if (from == From::kOldest) return scan;
  Result<bool> there = scan->opened();
  if (!there) return there.status();
  const Result<int64_t> end = *there ? scan->reader_->end() : Result<int64_t>(int64_t{0});
  if (!end) return end.status();
  scan->scan_from_ = *end;
  scan->next_ = *end;
  return scan;
}

Result<std::vector<Record>> EmbeddedConsumer::poll(const PollLimits& limits) {
  const auto deadline = steady_clock::now() + milliseconds(limits.wait_ms_max);
  for (;;) {
    if (interrupted_) return std::vector<Record>();
    Result<std::vector<Record>> records = read(limits);
    if (!records || !records->empty()) return records;
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    if (left <= milliseconds::zero()) return records;
    if (writer_is_here_) {
      extent_->wait_past(next_, left, interrupted_);
    } else {
      extent_->wait_past(std::numeric_limits<int64_t>::max(),
                         std::min(left, milliseconds(poll_ms_)), interrupted_);
    }
  }
}

Result<std::vector<Record>> EmbeddedConsumer::read(const PollLimits& limits) {
  std::vector<Record> records;
  Result<bool> there = opened();
  if (!there) return there.status();
  if (!*there || limits.records_max == 0) return records;
  size_t bytes = 0;
  const Status status = reader_->read(next_, [&](const StoredRecord& stored) {
    bytes += stored.key.size() + stored.value.size();
    if (!records.empty() && bytes > limits.bytes_max) return false;
    records.push_back(to_record(stored));
    return records.size() < limits.records_max;
  });
  // What was read before a failure is good; the failure comes again at the next poll.
  if (!status.is_ok() && records.empty()) return status;
  if (!records.empty()) next_ = records.back().position.offset + 1;
  // A log that ended is read to its end; that another took its place must not look like silence.
  if (records.empty() && !writer_is_here_) {
    if (Status moved = reader_->check_in_place(); !moved.is_ok()) return moved;
  }
  return records;
}

Status EmbeddedConsumer::commit(const std::vector<Position>& next) {
  if (!offsets_) return {Code::kInvalidArgument, path_ + ": a scan has no position to commit"};
  if (next.empty()) return Status::ok();
  Result<bool> there = opened();
  if (!there) return there.status();
  Result<int64_t> end = *there ? reader_->end() : Result<int64_t>(int64_t{0});
  if (!end) return end.status();
  for (const Position& position : next) {
    if (position.partition != 0 || position.offset < 0 || position.offset > *end) {
      return {Code::kInvalidArgument,
              fmt::format("{}: group {} commits partition {} offset {}; there is partition 0 up to "
                          "{}",
                          path_, group_, position.partition, position.offset, *end)};
    }
  }
  if (!*there) return Status::ok();
  // A copy that was put in this log's place has its number, and other records at these offsets,
  // which the group would be taken past.
  if (Status moved = reader_->check_in_place(); !moved.is_ok()) return moved;
  return offsets_->set(group_, reader_->log_id(), next.back().offset);
}

Status EmbeddedConsumer::rewind() {
  Result<bool> there = opened();
  if (!there) return there.status();
  if (!*there) return Status::ok();
  Result<int64_t> next = committed();
  if (!next) return next.status();
  next_ = *next;
  return Status::ok();
}

void EmbeddedConsumer::interrupt() {
  interrupted_ = true;
  extent_->wake();
}

}  // namespace ca4::log
