#include "log/inspect.h"

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <limits>
#include <thread>
#include <vector>

#include "log/embedded_consumer.h"
#include "log/embedded_options.h"
#include "log/group_offsets.h"

namespace ca4::log {
namespace {

// What is read at once: little enough to hold, enough that beginning anew costs nothing.
constexpr size_t kPieceRecords = 512;
constexpr size_t kPieceBytes = 1U << 20;

// A record with bytes of its own.
class Kept {
 public:
  explicit Kept(const StoredRecord& record)
      : key_(record.key), headers_(record.headers), value_(record.value), record_(record) {}
  size_t bytes() const { return key_.size() + headers_.size() + value_.size(); }
  // The views are good as long as this is.
  StoredRecord record() const {
    StoredRecord record = record_;
    record.key = key_;
    record.headers = headers_;
    record.value = value_;
    return record;
  }

 private:
  std::string key_, headers_, value_;
  StoredRecord record_;
};

int64_t size_of(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

// What SQLite's check of a file may let the write-ahead log grow to: it reads all in one go, so
// that the log does not begin anew meanwhile, and from kWalBytesMax on the writer refuses events.
constexpr int64_t kCheckWalBytesMax = kWalBytesMax / 2;
// A writer adds some megabytes in that time.
constexpr auto kLookEvery = std::chrono::milliseconds(10);

constexpr const char* kUnchecked =
    "how its pages hang together was not looked at: that keeps the write-ahead log from beginning "
    "anew, and events come too fast for it; check again when fewer come, or none";

// Whether the write-ahead log holds more than `pages`: its length never falls, but what was written
// since it last began anew has its salts (https://www.sqlite.org/fileformat2.html, 4.1). Its index
// would say how many, but a process that closes that gives up the locks of its connections.
bool is_over(const std::string& wal_path, int64_t page_bytes, int64_t pages) {
  constexpr int64_t kHeadBytes = 32;
  constexpr int64_t kFrameHeadBytes = 24;
  constexpr int64_t kSaltsAt = 16;
  constexpr int64_t kFrameSaltsAt = 8;
  std::array<char, 8> salts{};
  std::array<char, 8> of_frame{};
  std::ifstream wal(wal_path, std::ios::binary);
  wal.seekg(kSaltsAt);
  wal.read(salts.data(), salts.size());
  wal.seekg(kHeadBytes + pages * (kFrameHeadBytes + page_bytes) + kFrameSaltsAt);
  wal.read(of_frame.data(), of_frame.size());
  return wal.good() && salts == of_frame;
}

// Ends what a connection does once the write-ahead log is too large, for as long as this lives.
class WalGuard {
 public:
  WalGuard(sqlite3* db, int64_t page_bytes)
      : db_(db),
        wal_path_(sqlite3_filename_wal(sqlite3_db_filename(db, "main"))),
        page_bytes_(page_bytes),
        watch_([this](const std::stop_token& stop) {
          for (; !stop.stop_requested(); look()) std::this_thread::sleep_for(kLookEvery);
        }) {
    look();
  }
  bool too_large() const { return too_large_; }

 private:
  // Again and again: it takes effect only on what runs at the moment.
  void look() {
    if (!too_large_) too_large_ = is_over(wal_path_, page_bytes_, kCheckWalBytesMax / page_bytes_);
    if (too_large_) sqlite3_interrupt(db_);
  }

  sqlite3* const db_;
  const std::string wal_path_;
  const int64_t page_bytes_;
  std::atomic<bool> too_large_ = false;
  std::jthread watch_;
};

// Adds one bad offset to the last run, or begins another one.
void note_damage(int64_t offset, std::string reason, CheckReport& report) {
  if (!report.damages.empty() && report.damages.back().last + 1 == offset) {
    report.damages.back().last = offset;
  } else if (report.damages.size() < CheckReport::kDamagesMax) {
    report.damages.push_back({offset, offset, std::move(reason)});
  }
}

}  // namespace

LogInspector::LogInspector(RecordReader reader, LogPaths paths)
    : reader_(std::move(reader)), paths_(std::move(paths)) {}

Result<LogInspector> LogInspector::open(const std::string& dir, const std::string& topic) {
  Result<LogPaths> paths = log_paths(dir, topic);
  if (!paths) return paths.status();
  return open_paths(std::move(*paths));
}

Result<LogInspector> LogInspector::open_file(const std::string& file) {
  return open_paths(log_paths_of_file(file));
}

Result<LogInspector> LogInspector::open_paths(LogPaths paths) {
  Result<RecordReader> reader = RecordReader::open(paths.records);
  if (!reader) return reader.status();
  return LogInspector(std::move(*reader), std::move(paths));
}

// The smallest offset; where the beginning is damaged the smallest that can be read.
Result<int64_t> LogInspector::first_offset() {
  Result<std::optional<int64_t>> first = reader_.first();
  if (first.status().code() == Code::kCorruption) first = reader_.first_readable();
  if (!first) return first.status();
  return first->value_or(0);
}

Result<std::vector<GroupLag>> LogInspector::groups(int64_t first, int64_t end) {
  std::vector<GroupLag> out;
  const auto offsets = GroupOffsets::open(paths_.offsets, true);
  if (offsets.status().code() == Code::kNotFound) return out;
  if (!offsets) return offsets.status();
  const Result<std::vector<GroupPosition>> all = (*offsets)->all(reader_.log_id());
  if (!all) return all.status();
  for (const GroupPosition& group : *all) {
    out.push_back({group.group, group.next, end - resume_at(group.next, first, end)});
  }
  return out;
}

Result<LogSummary> LogInspector::summary() {
  LogSummary out;
  const Result<int64_t> end = reader_.end();
  if (!end) return end.status();
  const Result<int64_t> first = first_offset();
  if (!first) return first.status();
  out.first = *end == 0 ? 0 : *first;
  out.end = *end;
  if (out.end > out.first) {
    // A record that can't be read has no time, which is shown as such.
    if (const auto oldest = appended_at_us(out.first)) out.oldest_us = *oldest;
    if (const auto newest = appended_at_us(out.end - 1)) out.newest_us = *newest;
  }
  out.file_bytes = size_of(paths_.records) + size_of(paths_.records + "-wal");
  if (const auto used = reader_.database().query_int(
          "SELECT (page_count - freelist_count) * page_size"
          " FROM pragma_page_count, pragma_freelist_count, pragma_page_size")) {
    out.used_bytes = *used;
  }
  Result<std::vector<GroupLag>> known = groups(out.first, out.end);
  if (!known) return known.status();
  out.groups = std::move(*known);
  return out;
}

Result<std::optional<int64_t>> LogInspector::appended_at_us(int64_t offset) {
  std::optional<int64_t> at_us;
  const Status read = reader_.read(offset, [&](const StoredRecord& record) {
    if (record.damage.empty() && record.offset == offset) at_us = record.appended_at_us;
    return false;
  });
  if (!read.is_ok()) return read;
  return at_us;
}

// A read that is under way keeps the write-ahead log from beginning anew, and soon the writer would
// refuse what comes; whoever shows records may take for ever (`| less`). So a piece is read, and
// visited when that is over.
Status LogInspector::from(int64_t from, const RecordReader::Visit& visit) {
  const Result<int64_t> known = reader_.end();  // not in a damaged file
  const int64_t end = known ? *known : std::numeric_limits<int64_t>::max();
  for (bool more = true; more;) {
    std::vector<Kept> piece;
    size_t bytes = 0;
    more = false;
    const Status read = reader_.read(from, [&](const StoredRecord& record) {
      if (record.offset >= end) return false;  // came while others were visited
      bytes += piece.emplace_back(record).bytes();
      from = record.offset + 1;
      // How long a run of damage is, and what stands for it, only one reading can tell.
      more = record.damage.empty() && (piece.size() >= kPieceRecords || bytes >= kPieceBytes);
      return !more;
    });
    for (const Kept& kept : piece) {
      if (!visit(kept.record())) return Status::ok();
    }
    if (!read.is_ok()) return read;
  }
  return Status::ok();
}

Status LogInspector::head(size_t count, const RecordReader::Visit& visit) {
  if (count == 0) return Status::ok();
  const Result<int64_t> first = first_offset();
  if (!first) return first.status();
  size_t left = count;
  return from(*first, [&](const StoredRecord& record) { return visit(record) && --left > 0; });
}

Status LogInspector::tail(size_t count, const RecordReader::Visit& visit) {
  if (count == 0) return Status::ok();
  const Result<int64_t> end = reader_.end();
  if (end.status().code() == Code::kCorruption) return tail_of_damaged(count, visit);
  if (!end) return end.status();
  const Result<int64_t> first = first_offset();
  if (!first) return first.status();
  const int64_t wanted = *end - static_cast<int64_t>(std::min<size_t>(count, INT32_MAX));
  return from(std::max(*first, wanted), visit);
}

// The end can't be found, so everything is read and the last ones that are whole are kept.
Status LogInspector::tail_of_damaged(size_t count, const RecordReader::Visit& visit) {
  const Result<int64_t> first = first_offset();
  if (!first) return first.status();
  std::deque<Kept> last;
  const Status salvaged = reader_.salvage(*first, [&](const StoredRecord& record) {
    if (!record.damage.empty()) return true;
    last.emplace_back(record);
    if (last.size() > count) last.pop_front();
    return true;
  });
  for (const Kept& kept : last) {
    if (!visit(kept.record())) return Status::ok();
  }
  return salvaged;
}

Result<CheckReport> LogInspector::check(const CheckValue& check_value) {
  CheckReport report;
  const Result<int64_t> first = first_offset();
  if (!first) return first.status();
  const auto look_at = [&](const StoredRecord& record) {
    const Status value = record.damage.empty() ? check_value(record.value)
                                               : Status(Code::kCorruption, record.damage);
    if (value.is_ok()) {
      ++report.good;
    } else {
      note_damage(record.offset, value.message(), report);
    }
    return true;
  };
  const Status read = reader_.end() ? from(*first, look_at) : reader_.salvage(*first, look_at);
  if (!read.is_ok()) report.file_reasons.push_back(read.message());
  check_file(report);
  return report;
}

void LogInspector::check_file(CheckReport& report) {
  sqlite::Database& db = reader_.database();
  const Result<int64_t> page_bytes = db.query_int("PRAGMA page_size");
  Result<sqlite::Statement> checked = db.prepare("PRAGMA quick_check(10)");
  if (!page_bytes || !checked) {
    report.file_reasons.push_back((page_bytes ? checked.status() : page_bytes.status()).message());
    return;
  }
  std::vector<std::string> reasons;
  const WalGuard guard(db.handle(), *page_bytes);
  for (bool more = true; more;) {
    const Result<bool> row = checked->step();
    if (!row) reasons.push_back(row.status().message());
    more = row && *row;
    if (more && checked->column_text(0) != "ok") reasons.emplace_back(checked->column_text(0));
  }
  // What an end in the middle makes of it is no finding.
  if (guard.too_large()) {
    report.file_unchecked = kUnchecked;
  } else {
    report.file_reasons.insert(report.file_reasons.end(), reasons.begin(), reasons.end());
  }
}

}  // namespace ca4::log
