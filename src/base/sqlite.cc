#include "base/sqlite.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/io_error.h"

namespace ca4::sqlite {
namespace {

// The closed set's code for an SQLite result code (https://www.sqlite.org/rescode.html).
Code code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return Code::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return Code::kCorruption;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_NOLFS:
      return Code::kIo;
    case SQLITE_TOOBIG:
      return Code::kTooLarge;
    case SQLITE_INTERRUPT:
      return Code::kCancelled;
    case SQLITE_CONSTRAINT:
      return Code::kInvalidArgument;
    default:
      return Code::kInternal;
  }
}

// A process that was killed between writing a transaction and syncing it has left it to the kernel.
// Whoever opens the file next sees it, may pass it on or find nothing left to write, and power loss
// would still take it. Nobody locks the write-ahead log, so a descriptor of our own does no harm.
Status sync_wal_of(sqlite3* db) {
  // As SQLite names it: it follows links first.
  const std::string wal = sqlite3_filename_wal(sqlite3_db_filename(db, "main"));
  const int fd = ::open(wal.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return Status::ok();
  const bool synced = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  return synced ? Status::ok() : io_error(wal, "sync", error);
}

Status error_of(sqlite3* db, const std::string& path, std::string_view doing) {
  const int rc = sqlite3_extended_errcode(db);
  // Also where a command only looks: it may have to note as which group.
  if ((rc & 0xff) == SQLITE_READONLY) {
    return {code_of(rc),
            fmt::format("{}: it can't be written, only read: does the data belong to another "
                        "user, or is its disk read-only?",
                        path)};
  }
  std::string text = fmt::format("{}: {}: {}", path, doing, sqlite3_errmsg(db));
  const int system_errno = sqlite3_system_errno(db);
  if (code_of(rc) == Code::kIo && system_errno != 0) {
    text += fmt::format(" ({})", strerror(system_errno));
    if (system_errno == EACCES) text += "; run this as the user that the data belongs to";
  }
  if ((rc & 0xff) == SQLITE_NOTADB) {
    text +=
        "; something else was written here: put a copy of the file back, or move it away to "
        "begin with an empty one";
  }
  return {code_of(rc), std::move(text)};
}

}  // namespace

Result<Database> Database::open(const std::string& path, const OpenOptions& options) {
  const int access =
      options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  sqlite3* raw = nullptr;
  const int rc = sqlite3_open_v2(path.c_str(), &raw,
                                 access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  Database db(raw, path);
  if (raw == nullptr) return Status(Code::kInternal, path + ": open: out of memory");
  if (rc != SQLITE_OK) {
    if (sqlite3_system_errno(raw) == ENOENT && options.read_only) {
      return Status(Code::kNotFound, path + ": open: no such file");
    }
    return db.error("open");
  }
  // The file itself is looked at by the first statement: nothing is seen before it is durable.
  if (Status synced = sync_wal_of(raw); !synced.is_ok()) return synced;
  sqlite3_busy_timeout(raw, options.busy_timeout_ms);
  if (options.page_size_bytes > 0 && !options.read_only) {
    Status status = db.exec(fmt::format("PRAGMA page_size={}", options.page_size_bytes));
    if (!status.is_ok()) return status;
  }
  if (options.wal && !options.read_only) {
    Status status = db.use_wal(options.busy_timeout_ms);
    if (!status.is_ok()) return status;
  }
  if (options.mmap_bytes > 0) {
    Status status = db.exec(fmt::format("PRAGMA mmap_size={}", options.mmap_bytes));
    if (!status.is_ok()) return status;
  }
  return db;
}

// SQLite answers "busy" at once, without its busy handler, when two connections change the journal
// mode of one new file: so the waiting is ours.
Status Database::use_wal(int timeout_ms) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    Result<Statement> pragma = prepare("PRAGMA journal_mode=WAL");
    Result<bool> row = pragma ? pragma->step() : Result<bool>(pragma.status());
    if (row) {
      const std::string mode(pragma->column_text(0));
      if (mode == "wal") return Status::ok();
      return {Code::kIo, path_ + ": this file system can't keep a write-ahead log (journal mode " +
                             mode + "); use a local disk"};
    }
    if (row.status().code() != Code::kUnavailable || std::chrono::steady_clock::now() > deadline) {
      return row.status();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

Database::Database(Database&& other) noexcept : db_(other.db_), path_(std::move(other.path_)) {
  other.db_ = nullptr;
}

Database& Database::operator=(Database&& other) noexcept {
  if (this != &other) {
    sqlite3_close_v2(db_);
    db_ = other.db_;
    path_ = std::move(other.path_);
    other.db_ = nullptr;
  }
  return *this;
}

Database::~Database() {
  sqlite3_close_v2(db_);
}

// Through SQLite's own descriptor: closing another one of ours would give up the locks of all.
// Nobody locks the write-ahead log.
Status Database::reserve(int bytes) {
  sqlite3_int64 wanted = bytes;
  if (sqlite3_file_control(db_, "main", SQLITE_FCNTL_CHUNK_SIZE, &bytes) != SQLITE_OK ||
      sqlite3_file_control(db_, "main", SQLITE_FCNTL_SIZE_HINT, &wanted) != SQLITE_OK) {
    return error("reserve space");
  }
  const int wal = ::open((path_ + "-wal").c_str(), O_RDWR | O_CLOEXEC);
  if (wal < 0) return Status::ok();
  const bool full = fallocate(wal, FALLOC_FL_KEEP_SIZE, 0, bytes) != 0 && errno == ENOSPC;
  ::close(wal);
  return full ? Status(Code::kIo, fmt::format("{}-wal: no space left for it", path_))
              : Status::ok();
}

Status Database::exec(const std::string& sql) {
  if (sqlite3_exec(db_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return error(sql);
  return Status::ok();
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* stmt = nullptr;
  const int rc = sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                                    SQLITE_PREPARE_PERSISTENT, &stmt, nullptr);
  if (rc != SQLITE_OK) return error(sql);
  return Statement(this, stmt, path_);
}

Result<int64_t> Database::query_int(std::string_view sql) {
  Result<Statement> statement = prepare(sql);
  if (!statement) return statement.status();
  Result<bool> row = statement->step();
  if (!row) return row.status();
  if (!*row) return Status(Code::kNotFound, fmt::format("{}: {}: no row", path_, sql));
  return statement->column_int(0);
}

int64_t Database::changes() const {
  return sqlite3_changes64(db_);
}

int64_t Database::last_insert_rowid() const {
  return sqlite3_last_insert_rowid(db_);
}

Status Database::error(std::string_view doing) const {
  return error_of(db_, path_, doing);
}

Statement::Statement(Statement&& other) noexcept
    : handle_db_(other.handle_db_),
      stmt_(other.stmt_),
      path_(std::move(other.path_)),
      bind_rc_(other.bind_rc_) {
  other.stmt_ = nullptr;
}

Statement& Statement::operator=(Statement&& other) noexcept {
  if (this != &other) {
    sqlite3_finalize(stmt_);
    handle_db_ = other.handle_db_;
    stmt_ = other.stmt_;
    path_ = std::move(other.path_);
    bind_rc_ = other.bind_rc_;
    other.stmt_ = nullptr;
  }
  return *this;
}

Statement::~Statement() {
  sqlite3_finalize(stmt_);
}

void Statement::bind_int(int index, int64_t value) {
  note(sqlite3_bind_int64(stmt_, index, value));
}

void Statement::bind_double(int index, double value) {
  note(sqlite3_bind_double(stmt_, index, value));
}

// A null pointer would bind NULL; an empty view must bind an empty value.
void Statement::bind_text(int index, std::string_view value) {
  note(sqlite3_bind_text64(stmt_, index, value.data() == nullptr ? "" : value.data(), value.size(),
                           SQLITE_STATIC, SQLITE_UTF8));
}

void Statement::bind_blob(int index, std::string_view value) {
  note(sqlite3_bind_blob64(stmt_, index, value.data() == nullptr ? "" : value.data(), value.size(),
                           SQLITE_STATIC));
}

void Statement::bind_null(int index) {
  note(sqlite3_bind_null(stmt_, index));
}

Result<bool> Statement::step() {
  if (bind_rc_ != SQLITE_OK) {
    const int rc = std::exchange(bind_rc_, SQLITE_OK);
    return Status(code_of(rc), fmt::format("{}: bind: {}", path_, sqlite3_errstr(rc)));
  }
  const int rc = sqlite3_step(stmt_);
  if (rc == SQLITE_ROW) return true;
  if (rc == SQLITE_DONE) return false;
  Status failed = error_of(handle_db_, path_, sqlite3_sql(stmt_));
  // Or the statement could not be bound again, and one failed read would be the last.
  sqlite3_reset(stmt_);
  return failed;
}

Status Statement::run() {
  for (;;) {
    Result<bool> row = step();
    if (row && *row) continue;
    reset();
    return row.status();
  }
}

void Statement::reset() {
  sqlite3_reset(stmt_);
}

bool Statement::column_is_null(int column) const {
  return sqlite3_column_type(stmt_, column) == SQLITE_NULL;
}

int64_t Statement::column_int(int column) const {
  return sqlite3_column_int64(stmt_, column);
}

double Statement::column_double(int column) const {
  return sqlite3_column_double(stmt_, column);
}

std::string_view Statement::column_text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(stmt_, column));
  return text == nullptr
             ? std::string_view()
             : std::string_view(text, static_cast<size_t>(sqlite3_column_bytes(stmt_, column)));
}

std::string_view Statement::column_blob(int column) const {
  const auto* blob = static_cast<const char*>(sqlite3_column_blob(stmt_, column));
  return blob == nullptr
             ? std::string_view()
             : std::string_view(blob, static_cast<size_t>(sqlite3_column_bytes(stmt_, column)));
}

Result<Transaction> Transaction::begin(Database& db) {
  Status status = db.exec("BEGIN IMMEDIATE");
  if (!status.is_ok()) return status;
  return Transaction(db);
}

Transaction::~Transaction() {
  // Some failures (disk full) have rolled back already; rolling back then is an error that says
  // just that.
  if (db_ != nullptr && sqlite3_get_autocommit(db_->handle()) == 0) (void)db_->exec("ROLLBACK");
}

Status Transaction::commit() {
  Status status = db_->exec("COMMIT");
  if (status.is_ok()) db_ = nullptr;
  return status;
}

}  // namespace ca4::sqlite
