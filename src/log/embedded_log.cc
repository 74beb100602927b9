#include "log/embedded_log.h"

#include "base/folders.h"
#include "log/append_queue.h"
#include "log/embedded_consumer.h"
#include "log/extent.h"
#include "log/group_offsets.h"
#include "log/log_files.h"
#include "log/log_writer.h"
#include "log/record_reader.h"

namespace ca4::log {

Result<std::unique_ptr<EmbeddedLog>> EmbeddedLog::open(EmbeddedLogOptions options,
                                                       const Clock& clock) {
  Result<LogPaths> paths = options.file.empty() ? log_paths(options.dir, options.topic)
                                                : log_paths_of_file(options.file);
  if (!paths) return paths.status();
  if (Status made = make_durable_folders(paths->dir); !made.is_ok()) return made;
  std::unique_ptr<EmbeddedLog> log(new EmbeddedLog(std::move(options), paths->records));

  Result<std::unique_ptr<GroupOffsets>> offsets = GroupOffsets::open(paths->offsets, false);
  if (!offsets) return offsets.status();
  log->offsets_ = std::move(*offsets);
  for (const std::string& group : log->options_.groups) {
    Status status = log->offsets_->add(group);
    if (!status.is_ok()) return status;
  }
  if (log->options_.mode == EmbeddedLogOptions::Mode::kReader) return log;

  log->extent_ = std::make_shared<Extent>();
  Result<std::unique_ptr<LogWriter>> writer =
      LogWriter::start(*paths, log->options_, clock, *log->offsets_, log->extent_);
  if (!writer) return writer.status();
  log->writer_ = std::move(*writer);
  return log;
}

EmbeddedLog::EmbeddedLog(EmbeddedLogOptions options, std::string path)
    : options_(std::move(options)), path_(std::move(path)) {}

EmbeddedLog::~EmbeddedLog() {
  close();
}

void EmbeddedLog::append(std::vector<NewRecord> batch, AppendDone done) {
  if (writer_) return writer_->append(std::move(batch), std::move(done));
  done(Status(Code::kInvalidArgument, path_ + ": opened for reading only"));
}

Status EmbeddedLog::admits(const NewRecord& record) const {
  return fits_queue(record, options_.queue_bytes_max);
}

Result<std::unique_ptr<Consumer>> EmbeddedLog::consumer(const std::string& group) {
  Status status = offsets_->add(group);
  if (!status.is_ok()) return status;
  return std::unique_ptr<Consumer>(
      std::make_unique<EmbeddedConsumer>(path_, group, offsets_, extent_, options_.reader_poll_ms));
}

Result<std::unique_ptr<Consumer>> EmbeddedLog::scan(From from) {
  Result<std::unique_ptr<EmbeddedConsumer>> scan =
      EmbeddedConsumer::scan(from, path_, extent_, options_.reader_poll_ms);
  if (!scan) return scan.status();
  return std::unique_ptr<Consumer>(std::move(*scan));
}

Result<std::vector<PartitionLag>> EmbeddedLog::lag(const std::string& group) {
  int64_t log_id = 0;
  int64_t begin = 0;
  int64_t end = 0;
  if (writer_) {
    log_id = writer_->log_id();
    begin = extent_->begin();
    end = extent_->end();
  } else {
    std::lock_guard lock(reader_mutex_);
    if (!reader_) {
      Result<RecordReader> reader = RecordReader::open(path_);
      if (reader.status().code() == Code::kNotFound) return std::vector<PartitionLag>(1);
      if (!reader) return reader.status();
      reader_ = std::make_unique<RecordReader>(std::move(*reader));
    }
    if (Status moved = reader_->check_in_place(); !moved.is_ok()) return moved;
    Result<int64_t> last = reader_->end();
    if (!last) return last.status();
    Result<std::optional<int64_t>> first = reader_->first();
    // Damaged records at the beginning are read, as damaged.
    if (first.status().code() == Code::kCorruption) first = std::optional<int64_t>(0);
    if (!first) return first.status();
    log_id = reader_->log_id();
    end = *last;
    begin = first->value_or(end);
  }
  Result<std::optional<int64_t>> committed = offsets_->get(group, log_id);
  if (!committed) return committed.status();
  return std::vector<PartitionLag>{{0, resume_at(*committed, begin, end), end}};
}

Status EmbeddedLog::forget(const std::string& group) {
  return offsets_->remove(group);
}

Status EmbeddedLog::ready() {
  if (writer_) return writer_->ready();
  return {Code::kInvalidArgument, path_ + ": opened for reading only"};
}

size_t EmbeddedLog::queue_depth() const {
  return writer_ ? writer_->queue_depth() : 0;
}

void EmbeddedLog::close() {
  if (writer_) writer_->close();
}

Result<std::vector<Record>> EmbeddedLog::newest() {
  Result<RecordReader> reader = RecordReader::open(path_);
  if (reader.status().code() == Code::kNotFound) return std::vector<Record>();
  if (!reader) return reader.status();
  Result<int64_t> end = reader->end();
  if (!end) return end.status();
  std::vector<Record> last;
  if (*end == 0) return last;
  Status status = reader->read(*end - 1, [&](const StoredRecord& stored) {
    last.assign(1, to_record(stored));
    return true;
  });
  if (!status.is_ok()) return status;
  return last;
}

int64_t EmbeddedLog::bytes_used() const {
  return writer_ ? writer_->bytes_used() : 0;
}

}  // namespace ca4::log
