#include "log/records_file.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "log/headers_codec.h"

namespace ca4::log {
namespace {

// What a record takes beside its bytes: lengths, row id, time, and its share of pages.
constexpr int64_t kRecordOverheadBytes = 32;

// SQLite keeps about so much of a record in its page when the rest goes elsewhere.
constexpr int64_t kKeptInPageBytes = 1000;

}  // namespace

struct RecordsFile::Statements {
  sqlite::Statement begin, commit, insert, oldest, remove, page_count, freelist_count;
};

void RecordsFile::StatementsDelete::operator()(Statements* statements) const {
  delete statements;
}

Result<std::unique_ptr<RecordsFile>> RecordsFile::open(const LogPaths& paths, int64_t pages_max) {
  Status status = create_records_file(paths);
  if (!status.is_ok()) return status;
  Result<sqlite::Database> db = sqlite::Database::open(paths.records, {.wal = true});
  if (!db) return db.status();
  std::unique_ptr<RecordsFile> file(new RecordsFile(std::move(*db)));
  status = file->prepare(pages_max);
  if (!status.is_ok()) return status;
  return file;
}

Status RecordsFile::prepare(int64_t pages_max) {
  // FULL: a commit returns after fsync. Checkpoints are ours to time (`checkpoint_if_due`).
  Status status = db_.exec("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0");
  if (status.is_ok() && pages_max > 0) {
    status = db_.exec(fmt::format("PRAGMA max_page_count={}", pages_max));
  }
  if (!status.is_ok()) return status;
  const auto count_wal_pages = [](void* self, sqlite3*, const char*, int pages) {
    static_cast<RecordsFile*>(self)->wal_pages_ = pages;
    return SQLITE_OK;
  };
  sqlite3_wal_hook(db_.handle(), count_wal_pages, this);

  Result<int64_t> page_bytes = db_.query_int("PRAGMA page_size");
  if (!page_bytes) return page_bytes.status();
  page_bytes_ = *page_bytes;
  Result<int64_t> log_id = read_log_id(db_);
  if (!log_id) return log_id.status();
  log_id_ = *log_id;

  std::vector<sqlite::Statement> compiled;
  for (const char* sql :
       {"BEGIN IMMEDIATE", "COMMIT", "INSERT INTO records VALUES(?,?,?,?,?)",
        // length() of a blob reads its size, not its bytes.
        "SELECT offset, appended_at_us, length(key)+length(value) FROM records"
        " WHERE offset<? ORDER BY offset LIMIT ?",
        "DELETE FROM records WHERE offset<=?", "PRAGMA page_count", "PRAGMA freelist_count"}) {
    Result<sqlite::Statement> statement = db_.prepare(sql);
    if (!statement) return statement.status();
    compiled.push_back(std::move(*statement));
  }
  sql_.reset(new Statements{std::move(compiled[0]), std::move(compiled[1]), std::move(compiled[2]),
                            std::move(compiled[3]), std::move(compiled[4]), std::move(compiled[5]),
                            std::move(compiled[6])});
  status = read_extent();
  if (status.is_ok()) status = check_newest_page();
  return status.is_ok() ? refresh_size() : status;
}

Status RecordsFile::out_of_order(int64_t offset, int64_t before) const {
  return {Code::kCorruption,
          fmt::format("{}: its newest page, or one that leads to it, is damaged: offset {} stands "
                      "in front of {}, so an event could be lost in it. `ca4 log head` (of an "
                      "outbox: `ca4 spool export`) shows what can still be read; with this log's "
                      "files moved away a new one is begun",
                      db_.path(), offset, before)};
}

// SQLite finds a row by the order of its page and never doubts it. In a newest page that was
// overwritten an append would be put where no reader finds it, though it was acknowledged; so there
// must be none. What older pages lost, readers tell.
Status RecordsFile::check_newest_page() {
  // Nor may a page above it lead an append elsewhere: where that goes, nothing follows.
  Result<sqlite::Statement> follows = db_.prepare("SELECT offset FROM records WHERE offset>=?");
  if (!follows) return follows.status();
  follows->bind_int(1, end_);
  const Result<bool> misled = follows->step();
  if (!misled) return misled.status();
  if (*misled) return out_of_order(follows->column_int(0), end_);
  // Of a damaged row the offset is all that can be read; and no row is known to be the page's last.
  Result<sqlite::Statement> newest = db_.prepare("SELECT offset FROM records ORDER BY offset DESC");
  if (!newest) return newest.status();
  Result<sqlite::Statement> size =
      db_.prepare("SELECT length(key)+length(value) FROM records WHERE offset=?");
  if (!size) return size.status();
  int64_t behind = std::numeric_limits<int64_t>::max();
  for (int64_t left = page_bytes_; left > 0;) {
    const Result<bool> row = newest->step();
    if (!row && row.status().code() != Code::kCorruption) return row.status();
    if (!row || !*row) return Status::ok();
    const int64_t offset = newest->column_int(0);
    if (offset >= behind) return out_of_order(offset, behind);
    behind = offset;
    size->bind_int(1, offset);
    const Result<bool> readable = size->step();
    const int64_t bytes = readable && *readable ? size->column_int(0) : 0;
    size->reset();
    left -= std::clamp(bytes, kRecordOverheadBytes, kKeptInPageBytes);
  }
  return Status::ok();
}

Status RecordsFile::read_extent() {
  Result<int64_t> end = db_.query_int("SELECT ifnull(max(offset)+1,0) FROM records");
  if (!end) return end.status();
  end_ = *end;
  Result<int64_t> begin =
      db_.query_int(fmt::format("SELECT ifnull(min(offset),{}) FROM records", end_));
  // Damage at the old end hurts readers and retention, not appends: go on, as if nothing had been
  // deleted yet.
  if (!begin && begin.status().code() != Code::kCorruption) return begin.status();
  begin_ = begin ? *begin : 0;
  return Status::ok();
}

Status RecordsFile::refresh_size() {
  int64_t counts[2] = {};
  sqlite::Statement* statements[2] = {&sql_->page_count, &sql_->freelist_count};
  for (size_t i = 0; i < 2; ++i) {
    Result<bool> row = statements[i]->step();
    if (row && *row) counts[i] = statements[i]->column_int(0);
    statements[i]->reset();
    if (!row) return row.status();
  }
  bytes_free_ = counts[1] * page_bytes_;
  bytes_used_ = counts[0] * page_bytes_ - bytes_free_;
  return Status::ok();
}

Status RecordsFile::append(const std::vector<PendingAppend>& group, int64_t now_us) {
  if (!sync_failed_.is_ok()) return sync_failed_;
  if (wal_pages_ * page_bytes_ >= kWalBytesMax) {
    Status status = checkpoint_if_due();
    if (!status.is_ok()) return status;
  }
  Status status = sql_->begin.run();
  if (!status.is_ok()) return status;
  status = insert(group, now_us);
  if (status.is_ok()) status = sql_->commit.run();
  if (!status.is_ok()) {
    // SQLite has rolled back by itself after some failures (a full disk).
    if (sqlite3_get_autocommit(db_.handle()) == 0) (void)db_.exec("ROLLBACK");
    overwrite_failed();
    return status;
  }
  for (const PendingAppend& append : group) {
    const auto records = static_cast<int64_t>(append.records.size());
    end_ += records;
    bytes_used_ += static_cast<int64_t>(append.bytes) + records * kRecordOverheadBytes;
  }
  return Status::ok();
}

// A commit that was written and could not be synced is whole in the write-ahead log: for us it has
// not been, but whoever opens the log after we are killed would take it, although its client was
// told that it is not kept. The next transaction overwrites it; so there must be one now, whose
// changes cancel out: SQLite does not write what stays the same. It needs no sync of its own. Where
// it can't be written either, nothing more can be done.
void RecordsFile::overwrite_failed() {
  (void)db_.exec("PRAGMA synchronous=OFF");
  const Status written =
      db_.exec("BEGIN IMMEDIATE; UPDATE log SET id=-id; UPDATE log SET id=-id; COMMIT");
  if (!written.is_ok() && sqlite3_get_autocommit(db_.handle()) == 0) (void)db_.exec("ROLLBACK");
  // Without FULL no further append may be acknowledged.
  sync_failed_ = db_.exec("PRAGMA synchronous=FULL");
}

Status RecordsFile::insert(const std::vector<PendingAppend>& group, int64_t now_us) {
  int64_t offset = end_;
  for (const PendingAppend& append : group) {
    for (const NewRecord& record : append.records) {
      const std::string headers = encode_headers(record.headers);
      sqlite::Statement& insert = sql_->insert;
      insert.bind_int(1, offset++);
      insert.bind_int(2, now_us);
      insert.bind_blob(3, record.key);
      if (headers.empty()) {
        insert.bind_null(4);
      } else {
        insert.bind_blob(4, headers);
      }
      insert.bind_blob(5, record.value);
      Status status = insert.run();
      if (!status.is_ok()) return status;
    }
  }
  return Status::ok();
}

Status RecordsFile::checkpoint_if_due() {
  const int64_t wal_bytes = wal_pages_ * page_bytes_;
  if (wal_bytes < kCheckpointBytes) return Status::ok();
  // PASSIVE takes what no reader holds and waits for nobody; the log restarts at its front with the
  // next transaction that finds it empty of readers. RESTART waits for them (busy timeout), so that
  // the file stays bounded.
  const int mode = wal_bytes < kWalBytesMax ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
  if (sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, mode, nullptr, nullptr) != SQLITE_OK) {
    return db_.error("checkpoint");
  }
  // A size that can't be read now is read at the next checkpoint.
  (void)refresh_size();
  return Status::ok();
}

Result<std::optional<int64_t>> RecordsFile::last_to_delete(const Retention& what) {
  sqlite::Statement& oldest = sql_->oldest;
  oldest.bind_int(1, std::min(what.below, end_ - 1));
  oldest.bind_int(2, kRetentionRecordsMax);
  std::optional<int64_t> last;
  int64_t to_free = what.bytes_to_free;
  for (;;) {
    Result<bool> row = oldest.step();
    if (!row || !*row || (oldest.column_int(1) >= what.older_than_us && to_free <= 0)) {
      oldest.reset();
      if (!row) return row.status();
      return last;
    }
    last = oldest.column_int(0);
    to_free -= oldest.column_int(2);
  }
}

Result<int64_t> RecordsFile::delete_up_to(int64_t last) {
  Status status = sql_->begin.run();
  if (!status.is_ok()) return status;
  sql_->remove.bind_int(1, last);
  status = sql_->remove.run();
  const int64_t deleted = db_.changes();
  if (status.is_ok()) status = sql_->commit.run();
  if (status.is_ok()) return deleted;
  if (sqlite3_get_autocommit(db_.handle()) == 0) (void)db_.exec("ROLLBACK");
  return status;
}

Result<int64_t> RecordsFile::retain(const Retention& what) {
  Result<std::optional<int64_t>> last = last_to_delete(what);
  if (!last) return last.status();
  if (!*last) return int64_t{0};
  Status status = db_.exec("PRAGMA synchronous=NORMAL");
  if (!status.is_ok()) return status;
  Result<int64_t> deleted = delete_up_to(**last);
  // Without FULL an acknowledged append could be lost: worth ending the program over, but a setting
  // in memory does not fail.
  status = db_.exec("PRAGMA synchronous=FULL");
  if (!status.is_ok()) return status;
  if (!deleted) return deleted;
  begin_ = **last + 1;
  (void)refresh_size();
  // The records are deleted, whatever becomes of their space.
  (void)shrink_if_due();
  return deleted;
}

Status RecordsFile::shrink_if_due() {
  if (bytes_free_ < kShrinkFreeBytes || bytes_used_ > kShrinkUsedBytesMax) return Status::ok();
  Status status = db_.exec("VACUUM");
  if (!status.is_ok()) return status;
  // The file itself becomes shorter when the write-ahead log is moved into it.
  if (sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr,
                                nullptr) != SQLITE_OK) {
    return db_.error("checkpoint");
  }
  return refresh_size();
}

Status RecordsFile::finish() {
  if (sqlite3_wal_checkpoint_v2(db_.handle(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                nullptr) != SQLITE_OK) {
    return db_.error("checkpoint");
  }
  return Status::ok();
}

}  // namespace ca4::log
