// SQLite as CA4 uses it: connections and statements that close themselves, errors as Status with
// the file's path and the reason. A connection and its statements belong to one thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ca4::sqlite {

struct OpenOptions {
  // Opens an existing file without ever changing its content; otherwise the file is created where
  // missing.
  bool read_only = false;
  // Takes effect only when the file is created. 0: SQLite's own default (4096).
  int page_size_bytes = 0;
  // The file keeps a write-ahead log (readers beside one writer, https://www.sqlite.org/wal.html),
  // also when several processes open it new at once. kIo where the file system can't do that.
  bool wal = false;
  // How much of the file is read through a memory map. 0: none. A map of a file that somebody
  // truncates kills the process (SIGBUS).
  int64_t mmap_bytes = 0;
  // How long a statement waits for another connection's lock before it fails with kUnavailable.
  // Our transactions take milliseconds, a checkpoint tens of them.
  int busy_timeout_ms = 5000;
};

class Statement;

// A connection. Moveable; closes itself. Must outlive its statements.
class Database {
 public:
  // Everything that can be read survives power loss. kNotFound when a read-only file is missing,
  // kIo when the file can't be opened. That a file is not a database shows only at the first
  // statement (kCorruption).
  static Result<Database> open(const std::string& path, const OpenOptions& options);
  Database(Database&& other) noexcept;
  Database& operator=(Database&& other) noexcept;
  ~Database();

  // Runs one or more statements and drops what they return.
  Status exec(const std::string& sql);
  // `sql` must be one statement. Compile once, use often.
  Result<Statement> prepare(std::string_view sql);
  // The first column of the first row as an integer; kNotFound when there is no row.
  Result<int64_t> query_int(std::string_view sql);
  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t changes() const;
  // The row id that the last successful INSERT gave.
  int64_t last_insert_rowid() const;
  // The last failure of this connection: its code from the closed set, its message with `doing`,
  // the path and SQLite's (and for I/O the system's) reason.
  Status error(std::string_view doing) const;

  const std::string& path() const { return path_; }
  // Takes so much of the disk for this file, and as much for its write-ahead log, now, so that a
  // small file can be written also when the disk is full later. For a connection that has read or
  // written. kIo where the disk has not that much; what a file system can't do is left out.
  Status reserve(int bytes);

  // The raw connection, for what this wrapper leaves out (checkpoints, blobs, functions).
  sqlite3* handle() const { return db_; }

 private:
  Database(sqlite3* db, std::string path) : db_(db), path_(std::move(path)) {}
  Status use_wal(int timeout_ms);

  sqlite3* db_ = nullptr;
  std::string path_;
};

// A compiled statement. Parameters count from 1, columns from 0, as in SQLite.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;
  ~Statement();

  // Binding keeps no copy: text and blobs must live until the statement is reset or bound anew. A
  // failed binding (a wrong index) shows at the next `step`.
  void bind_int(int index, int64_t value);
  void bind_double(int index, double value);
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::string_view value);
  void bind_null(int index);

  // True when a row is there, false when the statement is done. After the last row call `reset`
  // before the next use; a failure has reset the statement.
  Result<bool> step();
  // Steps until done, dropping rows, and resets.
  Status run();
  // Ready to run again; bindings stay. Ends the read transaction of an unfinished SELECT.
  void reset();

  bool column_is_null(int column) const;
  int64_t column_int(int column) const;
  double column_double(int column) const;
  // Views of SQLite's own memory, valid until the next step or reset.
  std::string_view column_text(int column) const;
  std::string_view column_blob(int column) const;

 private:
  friend class Database;
  Statement(const Database* db, sqlite3_stmt* stmt, std::string path)
      : handle_db_(db->handle()), stmt_(stmt), path_(std::move(path)) {}
  void note(int rc) {
    if (rc != 0 && bind_rc_ == 0) bind_rc_ = rc;
  }

  sqlite3* handle_db_ = nullptr;
  sqlite3_stmt* stmt_ = nullptr;
  std::string path_;
  int bind_rc_ = 0;
};

// A write transaction; rolls back unless committed.
class Transaction {
 public:
  // Takes the write lock at once (BEGIN IMMEDIATE), so that a lock held elsewhere shows here and
  // not in the middle.
  static Result<Transaction> begin(Database& db);
  Transaction(Transaction&& other) noexcept : db_(other.db_) { other.db_ = nullptr; }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  // When this fails nothing of the transaction is kept.
  Status commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}
  Database* db_;
};

}  // namespace ca4::sqlite
