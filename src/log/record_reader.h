// Reads the records file of an embedded log, whether a writer is at work, gone, or the file is
// damaged. Never changes a record.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/sqlite.h"
#include "base/status.h"
#include "log/event_log.h"

namespace ca4::log {

// A record as it lies in the file; views valid during the visit. When `damage` is not empty the
// database could not give the record: it says why, and everything but `offset` is empty.
struct StoredRecord {
  int64_t offset = 0;
  int64_t appended_at_us = 0;
  std::string_view key;
  std::string_view headers;  // see headers_codec.h
  std::string_view value;
  std::string damage;
};

// A copy for a consumer. A record that can't be read becomes one with an empty key and value, which
// no decoder accepts, so that it is dead-lettered and its neighbours go on.
Record to_record(const StoredRecord& stored);

// One thread at a time.
class RecordReader {
 public:
  // kNotFound when there is no such log.
  static Result<RecordReader> open(const std::string& path);

  // Return false to stop.
  using Visit = std::function<bool(const StoredRecord&)>;

  // Visits records from `from` on, in offset order, up to the end as it is at the call. Where the
  // file is damaged every offset that can't be read or is missing is visited as such, behind
  // kDamageRunMax in a row one for all, and reading goes on behind it. kCorruption when not even
  // the end can be found; what is before the damage was visited.
  Status read(int64_t from, const Visit& visit);
  // The same where the end can't be found: kCorruption says from which offset on nothing could be
  // read, given up after kDamageRunMax offsets in a row.
  Status salvage(int64_t from, const Visit& visit);
  // More than the records of any one page; a damaged inner page hides some ten thousand.
#ifdef CA4_FUZZING
  static constexpr int64_t kDamageRunMax = 60;  // a second or two of look-ups would be all it does
#else
  static constexpr int64_t kDamageRunMax = 100'000;
#endif

  // The smallest offset there is; none in an empty log.
  Result<std::optional<int64_t>> first();
  // Where `first` fails with kCorruption: the smallest offset that can be read, found by steps and
  // bisection (so a few records between two damaged places may be in front of it).
  Result<std::optional<int64_t>> first_readable();
  // One past the newest; 0 in an empty log.
  Result<int64_t> end();

  // kIo when another file lies by now where this one was opened: what is appended there is never
  // seen here. Ok also when none does.
  Status check_in_place() const;

  int64_t log_id() const { return log_id_; }
  sqlite::Database& database() { return *db_; }

 private:
  struct ScanEnd {
    int64_t next;  // one past the last record visited
    Status status;
    bool stopped;  // by the visitor
  };

  // Which file lies at a path; none where it has no such file.
  struct FileId {
    dev_t device;
    ino_t number;
    friend bool operator==(const FileId&, const FileId&) = default;
  };
  static std::optional<FileId> file_at(const std::string& path);

  RecordReader(std::unique_ptr<sqlite::Database> db, sqlite::Statement range, sqlite::Statement one,
               sqlite::Statement min, sqlite::Statement max, int64_t log_id);
  ScanEnd scan(sqlite::Statement& select, int64_t from, const Visit& visit);
  bool lost_before(int64_t from);
  bool tell_missing(int64_t& next, int64_t until, const Visit& visit);
  Status read_until(std::optional<int64_t> until, int64_t from, const Visit& visit);
  bool skip_damage(int64_t& next, int64_t until, const std::string& why, const Visit& visit);
  Result<std::optional<int64_t>> readable_behind(int64_t from);
  Result<std::optional<int64_t>> lowest(int64_t from);

  std::unique_ptr<sqlite::Database> db_;
  sqlite::Statement range_;
  sqlite::Statement one_;
  sqlite::Statement min_;
  sqlite::Statement max_;
  int64_t log_id_;
  std::optional<FileId> file_;
};

}  // namespace ca4::log
