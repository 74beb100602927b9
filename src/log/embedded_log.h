// The embedded event log: one SQLite file a topic, no server. An append is acknowledged after the
// fsync of the transaction that holds it; concurrent appends share one. One partition, 0; offsets
// from 0 on, without gaps.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.h"
#include "log/embedded_options.h"
#include "log/event_log.h"

namespace ca4::log {

class Extent;
class GroupOffsets;
class LogWriter;
class RecordReader;

class EmbeddedLog final : public EventLog {
 public:
  // A writer makes folder and files where they are missing. kUnavailable, naming the lock file,
  // when another writer has this log; kInvalidArgument for a topic that can't be a file name (where
  // no file is named);
  // kCorruption when a damaged file can't be written safely (`ca4 log check` tells what is left).
  // `clock` stamps records and ages them; it must outlive the log. What was committed before the
  // last close or kill is there.
  static Result<std::unique_ptr<EmbeddedLog>> open(EmbeddedLogOptions options, const Clock& clock);
  ~EmbeddedLog() override;

  // A reader refuses with kInvalidArgument.
  void append(std::vector<NewRecord> batch, AppendDone done) override;
  Status admits(const NewRecord& record) const override;
  // The consumer may outlive the log.
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override;
  Result<std::unique_ptr<Consumer>> scan(From from) override;
  Result<std::vector<Record>> newest() override;
  Result<std::vector<PartitionLag>> lag(const std::string& group) override;
  Status ready() override;
  size_t queue_depth() const override;
  void close() override;
  const std::string& topic() const override { return options_.topic; }

  // Retention no longer waits for `group`. When it comes back it goes on where it was, or at the
  // oldest record that is left. For a group that was switched off. Ok when there is none.
  Status forget(const std::string& group);

  // Bytes of the records file in use, which `bytes_max` limits; 0 for a reader.
  int64_t bytes_used() const;
  int64_t bytes_max() const { return options_.bytes_max; }
  // Of the records file.
  const std::string& path() const { return path_; }

 private:
  EmbeddedLog(EmbeddedLogOptions options, std::string path);

  const EmbeddedLogOptions options_;
  const std::string path_;
  std::shared_ptr<GroupOffsets> offsets_;
  std::shared_ptr<Extent> extent_;
  std::unique_ptr<LogWriter> writer_;  // none for a reader
  std::mutex reader_mutex_;
  std::unique_ptr<RecordReader> reader_;  // for `lag` of a reader
};

}  // namespace ca4::log
