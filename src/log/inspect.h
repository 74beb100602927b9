// What an embedded log holds and how well: for people and tools, beside a running writer, without
// one, or over a damaged file. Nothing here changes the log.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "log/event_log.h"
#include "log/log_files.h"
#include "log/record_reader.h"

namespace ca4::log {

struct GroupLag {
  std::string group;
  std::optional<int64_t> next;  // none: the group is known, but never committed here
  int64_t lag = 0;
};

struct LogSummary {
  int64_t first = 0;  // smallest offset
  int64_t end = 0;    // one past the newest; records = end - first, as there are no gaps
  std::optional<int64_t> oldest_us, newest_us;
  int64_t file_bytes = 0;  // with the write-ahead log
  int64_t used_bytes = 0;  // in the file, as limits of size count; 0 where it is too damaged to say
  std::vector<GroupLag> groups;
};

// A run of offsets that hold nothing whole.
struct Damage {
  int64_t first = 0;
  int64_t last = 0;
  std::string reason;  // of the first of them
};

struct CheckReport {
  int64_t good = 0;
  std::vector<Damage> damages;            // by offset, at most kDamagesMax
  std::vector<std::string> file_reasons;  // what SQLite finds wrong with the file as such
  std::string file_unchecked;             // why that was not looked at; empty where it was
  bool whole() const { return damages.empty() && file_reasons.empty(); }
  static constexpr size_t kDamagesMax = 1000;
};

// Why a value is not what it should be, or Ok.
using CheckValue = std::function<Status(std::string_view value)>;

class LogInspector {
 public:
  // kNotFound when there is no such log; kCorruption when the file is something else.
  static Result<LogInspector> open(const std::string& dir, const std::string& topic);
  // The same of a log whose records file was named (EmbeddedLogOptions::file).
  static Result<LogInspector> open_file(const std::string& file);

  // kCorruption when the file is too damaged to say; `check` says more.
  Result<LogSummary> summary();

  // The first or last `count` records there are, in offset order; what can't be read is visited
  // with its damage. Where the file is damaged the last ones are those that can still be found.
  Status head(size_t count, const RecordReader::Visit& visit);
  Status tail(size_t count, const RecordReader::Visit& visit);

  // Every record from `from` on, as `head`.
  Status from(int64_t from, const RecordReader::Visit& visit);

  // When the record was appended; none where there is no such record or it is damaged.
  Result<std::optional<int64_t>> appended_at_us(int64_t offset);

  // Reads everything. Damage is not a failure; that nothing at all can be read is. The file as such
  // is left unchecked where a writer would have to refuse events for it.
  Result<CheckReport> check(const CheckValue& check_value);

 private:
  LogInspector(RecordReader reader, LogPaths paths);
  static Result<LogInspector> open_paths(LogPaths paths);
  Result<int64_t> first_offset();
  Status tail_of_damaged(size_t count, const RecordReader::Visit& visit);
  void check_file(CheckReport& report);
  Result<std::vector<GroupLag>> groups(int64_t first, int64_t end);

  RecordReader reader_;
  LogPaths paths_;
};

}  // namespace ca4::log
