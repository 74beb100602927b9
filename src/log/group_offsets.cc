#include "log/group_offsets.h"

namespace ca4::log {
namespace {

// A group that can't commit on a full disk would read the same again and again, and what it reads
// could never be deleted to make room. The write-ahead log begins anew after 16 pages, so neither
// file grows beyond this with some hundred groups.
constexpr int kReservedBytes = 128 << 10;

}  // namespace

Result<std::unique_ptr<GroupOffsets>> GroupOffsets::open(const std::string& path, bool read_only) {
  Result<sqlite::Database> db = sqlite::Database::open(path, {.read_only = read_only, .wal = true});
  if (!db) return db.status();
  if (!read_only) {
    // FULL: what was committed stays so after power loss. The archive names its objects by where a
    // batch begins, so going back over several commits would write what it has under other names.
    Status status = db->exec(
        "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=16;"
        "CREATE TABLE IF NOT EXISTS groups(name TEXT PRIMARY KEY, log_id INTEGER NOT NULL,"
        " next INTEGER, known INTEGER NOT NULL DEFAULT 1) STRICT");
    if (!status.is_ok()) return status;
    // On a disk that is full by now, commits may fail until there is room.
    (void)db->reserve(kReservedBytes);
  }
  return std::unique_ptr<GroupOffsets>(new GroupOffsets(std::move(*db)));
}

Status GroupOffsets::add(const std::string& group) {
  std::lock_guard lock(mutex_);
  Result<sqlite::Statement> insert = db_.prepare(
      "INSERT INTO groups(name, log_id) VALUES(?,0)"
      " ON CONFLICT(name) DO UPDATE SET known=1 WHERE known=0");
  if (!insert) return insert.status();
  insert->bind_text(1, group);
  return insert->run();
}

Status GroupOffsets::remove(const std::string& group) {
  std::lock_guard lock(mutex_);
  Result<sqlite::Statement> remove = db_.prepare("UPDATE groups SET known=0 WHERE name=?");
  if (!remove) return remove.status();
  remove->bind_text(1, group);
  return remove->run();
}

Result<std::optional<int64_t>> GroupOffsets::get(const std::string& group, int64_t log_id) {
  std::lock_guard lock(mutex_);
  Result<sqlite::Statement> select =
      db_.prepare("SELECT next FROM groups WHERE name=? AND log_id=? AND next IS NOT NULL");
  if (!select) return select.status();
  select->bind_text(1, group);
  select->bind_int(2, log_id);
  Result<bool> row = select->step();
  if (!row) return row.status();
  return *row ? std::optional(select->column_int(0)) : std::nullopt;
}

Status GroupOffsets::set(const std::string& group, int64_t log_id, int64_t next) {
  std::lock_guard lock(mutex_);
  Result<sqlite::Statement> upsert = db_.prepare(
      "INSERT INTO groups(name, log_id, next) VALUES(?1,?2,?3)"
      " ON CONFLICT(name) DO UPDATE SET log_id=?2, next=?3");
  if (!upsert) return upsert.status();
  upsert->bind_text(1, group);
  upsert->bind_int(2, log_id);
  upsert->bind_int(3, next);
  return upsert->run();
}

Result<std::vector<std::string>> GroupOffsets::forget_beyond(int64_t log_id, int64_t end) {
  std::lock_guard lock(mutex_);
  Result<sqlite::Statement> update =
      db_.prepare("UPDATE groups SET next=NULL WHERE log_id=? AND next>? RETURNING name");
  if (!update) return update.status();
  update->bind_int(1, log_id);
  update->bind_int(2, end);
  std::vector<std::string> names;
  for (;;) {
    Result<bool> row = update->step();
    if (!row) return row.status();
    if (!*row) return names;
    names.emplace_back(update->column_text(0));
  }
}

Result<std::vector<GroupPosition>> GroupOffsets::all(int64_t log_id) {
  std::lock_guard lock(mutex_);
  Result<sqlite::Statement> select = db_.prepare(
      "SELECT name, CASE WHEN log_id=? THEN next END FROM groups WHERE known"
      " ORDER BY name");
  if (!select) return select.status();
  select->bind_int(1, log_id);
  std::vector<GroupPosition> groups;
  for (;;) {
    Result<bool> row = select->step();
    if (!row) return row.status();
    if (!*row) return groups;
    GroupPosition& group = groups.emplace_back();
    group.group = select->column_text(0);
    if (!select->column_is_null(1)) group.next = select->column_int(1);
  }
}

}  // namespace ca4::log
