#include "log/log_writer.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>

namespace ca4::log {
namespace {

using std::chrono::steady_clock;

// How long a refused transaction counts as "not ready". Then an append is tried again: nothing else
// finds out that there is room on the disk.
constexpr auto kFailureCounts = std::chrono::seconds(1);

// A log that was put back from a copy ends where its groups had been before. Once it has grown past
// them again nobody can tell, and what they have not read would be skipped, and deleted.
Status forget_lost_positions(const RecordsFile& file, const std::string& path,
                             GroupOffsets& offsets) {
  const Result<std::vector<std::string>> groups = offsets.forget_beyond(file.log_id(), file.end());
  if (!groups) return groups.status();
  for (const std::string& group : *groups) {
    spdlog::warn(
        "{}: {} had read further than this log goes, which ends at offset {}: an older copy was "
        "put back, or its end was lost. It reads from the oldest record on; what comes again "
        "changes nothing",
        path, group, file.end());
  }
  return Status::ok();
}

}  // namespace

Result<std::unique_ptr<LogWriter>> LogWriter::start(const LogPaths& paths,
                                                    const EmbeddedLogOptions& options,
                                                    const Clock& clock, GroupOffsets& offsets,
                                                    std::shared_ptr<Extent> extent) {
  Result<FileLock> lock = FileLock::acquire(paths.lock);
  if (!lock) return lock.status();
  Result<std::unique_ptr<RecordsFile>> file = RecordsFile::open(paths, options.pages_max);
  if (!file) return file.status();
  if (Status status = forget_lost_positions(**file, paths.records, offsets); !status.is_ok()) {
    return status;
  }
  std::unique_ptr<LogWriter> writer(new LogWriter(paths.records, std::move(*lock), std::move(*file),
                                                  options, clock, offsets, std::move(extent)));
  writer->publish();
  writer->thread_ = std::thread(&LogWriter::run, writer.get());
  return writer;
}

LogWriter::LogWriter(std::string path, FileLock lock, std::unique_ptr<RecordsFile> file,
                     const EmbeddedLogOptions& options, const Clock& clock, GroupOffsets& offsets,
                     std::shared_ptr<Extent> extent)
    : lock_(std::move(lock)),
      file_(std::move(file)),
      options_(options),
      clock_(clock),
      offsets_(offsets),
      extent_(std::move(extent)),
      path_(std::move(path)),
      log_id_(file_->log_id()),
      queue_({options.queue_bytes_max, options.queue_records_max, options.group_bytes_max,
              std::chrono::microseconds(options.linger_us)}) {}

void LogWriter::append(std::vector<NewRecord> batch, AppendDone done) {
  PendingAppend append{std::move(batch), std::move(done)};
  Status status = full_status(batch_bytes(append.records));
  if (status.is_ok()) status = queue_.push(append);
  if (!status.is_ok()) append.done(std::move(status));
}

Status LogWriter::full_status(size_t more_bytes) const {
  const int64_t used = bytes_used_.load(std::memory_order_relaxed);
  if (used + static_cast<int64_t>(queue_.bytes() + more_bytes) <= options_.bytes_max) return {};
  std::string advice = options_.full_advice;
  if (advice.empty()) {
    advice = std::string("raise log.bytes_max") +
             (options_.retention_when_full ? " or start a worker"
                                           : ", or stop ca4 and move this log's files away");
  }
  return {Code::kOverloaded, fmt::format("log is full: {} holds {} of {} bytes that workers have "
                                         "not read or retention keeps; {}",
                                         path_, used, options_.bytes_max, advice)};
}

Status LogWriter::ready() const {
  Status status = full_status(1);
  if (!status.is_ok() || !failing_) return status;
  std::lock_guard lock(failure_mutex_);
  return steady_clock::now() - failed_at_ < kFailureCounts ? failure_ : Status::ok();
}

void LogWriter::note_failure(const Status& status) {
  if (status.is_ok() && !failing_) return;
  std::lock_guard lock(failure_mutex_);
  failure_ = status;
  failed_at_ = steady_clock::now();
  failing_ = !status.is_ok();
}

void LogWriter::publish() {
  bytes_used_ = file_->bytes_used();
  extent_->set(file_->begin(), file_->end());
}

void LogWriter::run() {
  const auto interval = std::chrono::milliseconds(options_.retention_interval_ms);
  auto next_retention = steady_clock::now();
  for (;;) {
    const auto idle = std::chrono::ceil<std::chrono::milliseconds>(
        std::max(next_retention - steady_clock::now(), steady_clock::duration::zero()));
    std::optional<std::vector<PendingAppend>> group = queue_.take(idle);
    if (!group) return;
    if (!group->empty()) write(std::move(*group));
    if (steady_clock::now() < next_retention) continue;
    // A step that found more than it may delete is followed by another one after the next group.
    const bool more = retain();
    next_retention = more ? steady_clock::now() : steady_clock::now() + interval;
  }
}

void LogWriter::write(std::vector<PendingAppend> group) {
  int64_t offset = file_->end();
  const Status status = file_->append(group, clock_.now_us());
  note_failure(status);
  queue_.release(group);
  if (status.is_ok()) publish();
  for (PendingAppend& append : group) {
    if (!status.is_ok()) {
      append.done(status);
      continue;
    }
    std::vector<Position> positions(append.records.size());
    for (Position& position : positions) position.offset = offset++;
    append.done(std::move(positions));
  }
  // The group's memory goes before the pause of a checkpoint.
  group.clear();
  // What could not be moved stays in the write-ahead log, durable, and is tried again after the
  // next group; `append` refuses once that log is too large.
  const Status moved = file_->checkpoint_if_due();
  if (!moved.is_ok()) note_failure(moved);
}

bool LogWriter::retain() {
  Result<std::vector<GroupPosition>> groups = offsets_.all(log_id_);
  // Unknown positions protect everything; so does a log that nobody reads yet.
  if (!groups || groups->empty()) return false;
  RecordsFile::Retention what{};
  what.below = std::numeric_limits<int64_t>::max();
  for (const GroupPosition& group : *groups) {
    what.below = std::min(what.below, group.next.value_or(0));
  }
  if (what.below <= file_->begin()) return false;
  what.older_than_us = options_.retention_age_s > 0
                           ? clock_.now_us() - options_.retention_age_s * 1'000'000
                           : std::numeric_limits<int64_t>::min();
  int64_t bytes_wanted = options_.retention_when_full ? options_.bytes_max / 8 * 7
                                                      : std::numeric_limits<int64_t>::max();
  if (options_.retention_bytes > 0) bytes_wanted = std::min(bytes_wanted, options_.retention_bytes);
  what.bytes_to_free = file_->bytes_used() - bytes_wanted;
  const Result<int64_t> deleted = file_->retain(what);
  if (!deleted) {
    note_failure(deleted.status());
    return false;
  }
  if (*deleted > 0) publish();
  return *deleted >= kRetentionRecordsMax;
}

void LogWriter::close() {
  std::lock_guard lock(close_mutex_);
  if (!thread_.joinable()) return;
  queue_.close();
  thread_.join();
  // A write-ahead log that stays (a reader is in it, the disk is full) is as durable.
  (void)file_->finish();
  file_.reset();
}

}  // namespace ca4::log
