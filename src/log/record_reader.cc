#include "log/record_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "log/headers_codec.h"
#include "log/log_files.h"

namespace ca4::log {
namespace {

// An inner page has some 700 leaves, of one record each or of hundreds.
constexpr int64_t kSearchStep = 512;
// Of so many steps, each of some microseconds: ten million offsets in less than a second.
#ifdef CA4_FUZZING
constexpr int64_t kSearchSteps = 100;  // or look-ups would be all it does, several times an input
#else
constexpr int64_t kSearchSteps = 20'000;
#endif

constexpr char kColumns[] = "SELECT offset, appended_at_us, key, headers, value FROM records ";

}  // namespace

Record to_record(const StoredRecord& stored) {
  Record record;
  record.position.offset = stored.offset;
  record.appended_at_us = stored.appended_at_us;
  record.key = stored.key;
  record.value = stored.value;
  // Damaged headers are left out: they only annotate, the key and value stand on their own.
  if (Result<Headers> headers = decode_headers(stored.headers)) {
    record.headers = std::move(*headers);
  }
  return record;
}

Result<RecordReader> RecordReader::open(const std::string& path) {
  Result<sqlite::Database> opened = sqlite::Database::open(path, {.read_only = true});
  if (!opened) return opened.status();
  auto db = std::make_unique<sqlite::Database>(std::move(*opened));
  // SQLite refuses a truncated file as a whole unless the schema is writable; page by page, what is
  // left can be read. The connection stays read-only.
  Status status = db->exec("PRAGMA writable_schema=ON");
  if (!status.is_ok()) return status;
  Result<int64_t> log_id = read_log_id(*db);
  if (!log_id) return log_id.status();
  const std::string columns = kColumns;
  auto range = db->prepare(columns + "WHERE offset>=? ORDER BY offset");
  if (!range) return range.status();
  auto one = db->prepare(columns + "WHERE offset=?");
  if (!one) return one.status();
  auto min = db->prepare("SELECT offset FROM records WHERE offset>=? ORDER BY offset LIMIT 1");
  if (!min) return min.status();
  auto max = db->prepare("SELECT offset FROM records ORDER BY offset DESC LIMIT 1");
  if (!max) return max.status();
  return RecordReader(std::move(db), std::move(*range), std::move(*one), std::move(*min),
                      std::move(*max), *log_id);
}

RecordReader::RecordReader(std::unique_ptr<sqlite::Database> db, sqlite::Statement range,
                           sqlite::Statement one, sqlite::Statement min, sqlite::Statement max,
                           int64_t log_id)
    : db_(std::move(db)),
      range_(std::move(range)),
      one_(std::move(one)),
      min_(std::move(min)),
      max_(std::move(max)),
      log_id_(log_id),
      file_(file_at(db_->path())) {}

std::optional<RecordReader::FileId> RecordReader::file_at(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return std::nullopt;
  return FileId{info.st_dev, info.st_ino};
}

Status RecordReader::check_in_place() const {
  const std::optional<FileId> now = file_at(db_->path());
  if (!now || now == file_) return Status::ok();
  return {Code::kIo, fmt::format("{}: moved away while it was read, and another log is in its "
                                 "place: start this process again, it then reads that one",
                                 db_->path())};
}

RecordReader::ScanEnd RecordReader::scan(sqlite::Statement& select, int64_t from,
                                         const Visit& visit) {
  ScanEnd end{from, Status::ok(), false};
  select.bind_int(1, from);
  while (!end.stopped) {
    Result<bool> row = select.step();
    if (!row || !*row) {
      end.status = row.status();
      break;
    }
    StoredRecord record;
    record.offset = select.column_int(0);
    record.appended_at_us = select.column_int(1);
    record.key = select.column_blob(2);
    record.headers = select.column_blob(3);
    record.value = select.column_blob(4);
    // An offset that runs backwards comes from a damaged page and would repeat what was visited.
    if (record.offset < end.next || record.offset == std::numeric_limits<int64_t>::max()) {
      end.status = Status(Code::kCorruption, fmt::format("{}: offset {} stands behind offset {}",
                                                         db_->path(), record.offset, end.next));
      break;
    }
    if (record.offset > end.next && (end.next > from || lost_before(from))) {
      end.stopped = !tell_missing(end.next, record.offset, visit);
      if (end.stopped) break;
    }
    end.next = record.offset + 1;
    end.stopped = !visit(record);
  }
  select.reset();
  return end;
}

// Offsets have no holes: what is missing behind an older record was lost to damage that SQLite did
// not notice. In front of the oldest record it is what retention deleted.
bool RecordReader::lost_before(int64_t from) {
  const Result<std::optional<int64_t>> oldest = lowest(0);
  return !oldest || (*oldest && **oldest < from);
}

bool RecordReader::tell_missing(int64_t& next, int64_t until, const Visit& visit) {
  const bool many = until - next > kDamageRunMax;
  while (next < until) {
    StoredRecord record;
    record.offset = next;
    record.damage = many ? fmt::format("{}: offsets {} to {} are missing: this one stands for all",
                                       db_->path(), next, until - 1)
                         : fmt::format("{}: offset {} is missing", db_->path(), next);
    next = many ? until : next + 1;
    if (!visit(record)) return false;
  }
  return true;
}

Status RecordReader::read(int64_t from, const Visit& visit) {
  const ScanEnd healthy = scan(range_, from, visit);
  if (healthy.stopped || healthy.status.code() != Code::kCorruption) return healthy.status;
  Result<int64_t> until = end();
  if (!until) return until.status();
  return read_until(*until, healthy.next, visit);
}

Status RecordReader::salvage(int64_t from, const Visit& visit) {
  return read_until(std::nullopt, from, visit);
}

// So many offsets in front of `next` gave nothing, one by one, that `until` was read out of a
// damaged page, like as not, and may be years of looking away. `next` becomes what can be read
// again, or `until`.
bool RecordReader::skip_damage(int64_t& next, int64_t until, const std::string& why,
                               const Visit& visit) {
  const Result<std::optional<int64_t>> readable = readable_behind(next);
  const int64_t resume = readable && *readable ? std::min(**readable, until) : until;
  const int64_t from = std::exchange(next, resume);
  if (resume <= from) return true;
  StoredRecord record;
  record.offset = resume - 1;  // who goes on behind it is at what can be read
  record.damage = fmt::format("{}: offsets {} to {} can't be read: this one stands for all: {}",
                              db_->path(), from, resume - 1, why);
  return visit(record);
}

Status RecordReader::read_until(std::optional<int64_t> until, int64_t from, const Visit& visit) {
  // Damage is told once something behind it was read, or the end is known: an unknown end may be
  // anywhere in a run of unreadable offsets.
  std::vector<std::pair<int64_t, std::string>> damaged;
  const auto tell = [&] {
    for (auto& [offset, reason] : damaged) {
      StoredRecord record;
      record.offset = offset;
      record.damage = std::move(reason);
      if (!visit(record)) return false;
    }
    damaged.clear();
    return true;
  };
  const Visit telling = [&](const StoredRecord& record) { return tell() && visit(record); };
  int64_t misses = 0;  // offsets in a row that gave nothing
  for (int64_t next = from; !until || next < *until;) {
    const ScanEnd run = scan(range_, next, telling);
    if (run.next > next) misses = 0;
    if (run.stopped) return Status::ok();
    if (run.status.is_ok()) {
      (void)tell();
      return Status::ok();
    }
    if (run.status.code() != Code::kCorruption) return run.status;
    const ScanEnd one = scan(one_, run.next, telling);
    if (one.stopped) return Status::ok();
    if (!one.status.is_ok() && one.status.code() != Code::kCorruption) return one.status;
    // A damaged page said that a record is the last there can be: nothing is behind it.
    if (run.next == std::numeric_limits<int64_t>::max()) return until ? Status::ok() : run.status;
    next = run.next + 1;
    if (!one.status.is_ok()) {
      damaged.emplace_back(run.next, one.status.message());
    } else if (one.next == run.next && lost_before(run.next)) {
      // Where the next one is can be read even if that itself can't be.
      const Result<std::optional<int64_t>> there = lowest(next);
      const int64_t end = there && *there ? **there : next;
      next = run.next;
      if (!tell() || !tell_missing(next, until ? std::min(end, *until) : end, visit)) return {};
    }
    if (until && !tell()) return Status::ok();
    if (++misses < kDamageRunMax) continue;
    if (!until) {
      return {Code::kCorruption, fmt::format("nothing can be read from offset {} on: {}",
                                             next - misses, run.status.message())};
    }
    if (!skip_damage(next, *until, run.status.message(), visit)) return Status::ok();
    misses = 0;
  }
  return Status::ok();
}

Result<std::optional<int64_t>> RecordReader::lowest(int64_t from) {
  min_.bind_int(1, from);
  Result<bool> row = min_.step();
  std::optional<int64_t> offset;
  if (row && *row) offset = min_.column_int(0);
  min_.reset();
  if (!row) return row.status();
  // As in `scan`: SQLite does not look again at what a damaged page led it to.
  if (offset && *offset < from) {
    return Status(Code::kCorruption,
                  fmt::format("{}: offset {} stands behind offset {}", db_->path(), *offset, from));
  }
  return offset;
}

Result<std::optional<int64_t>> RecordReader::first() {
  return lowest(0);
}

Result<std::optional<int64_t>> RecordReader::first_readable() {
  return readable_behind(0);
}

// Steps are kept below the records of one intact inner page for as long as a log of any ordinary
// length may go on, so that none is passed over; then they double up to the end of all offsets.
Result<std::optional<int64_t>> RecordReader::readable_behind(int64_t from) {
  Result<std::optional<int64_t>> found = lowest(from);
  int64_t bad = from;
  int64_t good = from;
  int64_t step = 1;
  for (int64_t probes = 0; !found && found.status().code() == Code::kCorruption; ++probes) {
    if (good > std::numeric_limits<int64_t>::max() - step) return found;
    bad = good;
    good += step;
    found = lowest(good);
    if (step < kSearchStep || probes > kSearchSteps) step *= 2;
  }
  while (found && good - bad > 1) {
    const int64_t middle = bad + (good - bad) / 2;
    Result<std::optional<int64_t>> tried = lowest(middle);
    if (tried && *tried) {
      found = std::move(tried);
      good = middle;
    } else {
      bad = middle;
    }
  }
  return found;
}

Result<int64_t> RecordReader::end() {
  Result<bool> row = max_.step();
  const int64_t newest = row && *row ? max_.column_int(0) : -1;
  max_.reset();
  if (!row) return row.status();
  if (newest == std::numeric_limits<int64_t>::max()) {
    return Status(Code::kCorruption, fmt::format("{}: no offset is {}", db_->path(), newest));
  }
  return newest + 1;
}

}  // namespace ca4::log
