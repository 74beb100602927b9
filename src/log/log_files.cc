#include "log/log_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <random>
#include <thread>

#include "base/folders.h"
#include "base/io_error.h"

namespace ca4::log {
namespace {

constexpr size_t kTopicBytesMax = 200;

// Measured with rows of 8.7 kB (2048 floats and their metadata): 4096 costs a third more CPU a row
// (two overflow pages), 16384 wastes half of every page, 65536 costs the same as 8192 in large
// groups, but rewrites 64 KiB a transaction in small ones. With 8192 a row is one overflow page and
// a stub of 15 a leaf; deleting it never reads the overflow page; and a damaged page is one record.
constexpr int kPageSizeBytes = 8192;

// Whoever only asks whether a log is held (FileLock::is_held) has its lock for a moment, which is
// no reason to refuse a writer its start.
constexpr int kLockTries = 10;
constexpr auto kLockPause = std::chrono::milliseconds(10);

bool is_topic_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

Status fill_new_file(const std::string& path) {
  // Without a write-ahead log: after COMMIT all of it is in the file that is renamed.
  Result<sqlite::Database> db = sqlite::Database::open(path, {.page_size_bytes = kPageSizeBytes});
  if (!db) return db.status();
  std::random_device entropy;
  const int64_t id = (int64_t{entropy() & 0x7fffffff} << 32) | int64_t{entropy()} | 1;
  // STRICT keeps a hand-made change from storing text where a blob is read.
  return db->exec(
      "PRAGMA synchronous=FULL; BEGIN;"
      "CREATE TABLE records(offset INTEGER PRIMARY KEY, appended_at_us INTEGER NOT NULL,"
      " key BLOB NOT NULL, headers BLOB, value BLOB NOT NULL) STRICT;"
      "CREATE TABLE log(id INTEGER NOT NULL) STRICT;" +
      fmt::format("INSERT INTO log VALUES({}); COMMIT", id));
}

}  // namespace

Result<LogPaths> log_paths(const std::string& dir, const std::string& topic) {
  if (topic.empty() || topic.size() > kTopicBytesMax || topic.front() == '.' ||
      !std::all_of(topic.begin(), topic.end(), is_topic_char)) {
    return Status(Code::kInvalidArgument,
                  fmt::format("topic \"{}\": letters, digits, '.', '_' and '-' only, not beginning "
                              "with a dot, at most {} bytes",
                              topic, kTopicBytesMax));
  }
  const std::string stem = dir + "/" + topic;
  return LogPaths{dir, stem + ".db", stem + ".offsets.db", stem + ".lock"};
}

LogPaths log_paths_of_file(const std::string& file) {
  const std::string dir = std::filesystem::path(file).parent_path().string();
  return {dir.empty() ? "." : dir, file, file + "-offsets", file + "-lock"};
}

Result<FileLock> FileLock::acquire(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return io_error(path, "open");
  FileLock lock(fd);
  for (int tries = 0; tries < kLockTries; ++tries) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK) return io_error(path, "flock");
    std::this_thread::sleep_for(kLockPause);
  }
  return Status(Code::kUnavailable,
                path + ": another process writes this log; stop it, or use another data directory");
}

// A lock of the other kind, for as long as it takes to ask: nothing else tells.
bool FileLock::is_held(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const FileLock asked(fd);
  return ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Status create_records_file(const LogPaths& paths) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(paths.records, error);
  if (!error && bytes > 0) return Status::ok();
  const std::string fresh = paths.records + ".new";
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(fresh + suffix, error);
  Status status = fill_new_file(fresh);
  if (!status.is_ok()) return status;
  if (::rename(fresh.c_str(), paths.records.c_str()) != 0) return io_error(fresh, "rename");
  return sync_folder(paths.dir);
}

Result<int64_t> read_log_id(sqlite::Database& records) {
  return records.query_int("SELECT id FROM log");
}

}  // namespace ca4::log
