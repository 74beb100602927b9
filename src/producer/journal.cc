#include "producer/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>
#include <utility>

namespace ca4::producer {
namespace {

constexpr size_t kCrcDigits = 8;
constexpr size_t kKeyDigits = 32;

Status failed(const std::string& path, std::string_view doing, int error) {
  return {Code::kIo,
          fmt::format("journal {}: {}: {}", path, doing, std::generic_category().message(error))};
}

bool is_on_fuse(int fd) {
  constexpr long kFuseMagic = 0x65735546;  // FUSE_SUPER_MAGIC of linux/magic.h
  struct statfs about{};
  return fstatfs(fd, &about) == 0 && about.f_type == kFuseMagic;
}

uint32_t crc(std::string_view text) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size()));
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c > ' ' && c < 0x7f && c != '%') {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

// The key of a whole line without its end, or empty when it is damaged.
std::string_view key_of(std::string_view line) {
  uint32_t expected = 0;
  const char* const digits_end = line.data() + kCrcDigits;
  if (line.size() <= kCrcDigits ||
      std::from_chars(line.data(), digits_end, expected, 16).ptr != digits_end) {
    return {};
  }
  const std::string_view rest = line.substr(kCrcDigits + 1);
  const size_t space = rest.find(' ');
  if (crc(rest) != expected || space == std::string_view::npos) return {};
  const std::string_view key = rest.substr(space + 1, kKeyDigits);
  return key.size() == kKeyDigits ? key : std::string_view{};
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path, Keep keep) {
  std::unique_ptr<Journal> journal(new Journal(path));
  if (Status bad = journal->open_file(); !bad.is_ok()) return bad;
  if (Status bad = journal->check_kind(); !bad.is_ok()) return bad;
  journal->close_at_sync_ =
      keep == Keep::kCloseAtSync || (keep == Keep::kAsFileSystemNeeds && is_on_fuse(journal->fd_));
  if (Status bad = journal->load(); !bad.is_ok()) return bad;
  return journal;
}

Status Journal::open_file() {
  fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) {
    const Status status = failed(path_, "cannot be opened", errno);
    return {status.code(), status.message() + "; name another with --journal"};
  }
  // Other failures: this file system has no locks.
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return Status::ok();
  return {Code::kUnavailable,
          fmt::format("journal {} is in use by another run; name another with --journal", path_)};
}

Status Journal::check_kind() const {
  std::array<char, kCrcDigits> begin{};
  const ssize_t count = ::pread(fd_, begin.data(), begin.size(), 0);
  if (count < 0) return failed(path_, "cannot be read", errno);
  // As every line begins, also one that was cut off. Zeros: of a machine that lost its power.
  const bool known = std::all_of(begin.begin(), begin.begin() + count, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '\n' || c == '\0';
  });
  if (known) return Status::ok();
  return {Code::kUsage,
          fmt::format("journal {}: that is a file of something else, which stays as it is; name "
                      "another with --journal",
                      path_)};
}

Journal::~Journal() {
  if (fd_ < 0) return;
  // What a failing sync would lose is sent again; the run's last sync has reported it already.
  ::fdatasync(fd_);
  ::close(fd_);
}

Status Journal::load() {
  std::string pending;
  std::array<char, 64 * 1024> piece{};
  off_t at = 0;
  while (true) {
    const ssize_t count = ::pread(fd_, piece.data(), piece.size(), at);
    if (count < 0) return failed(path_, "cannot be read", errno);
    if (count == 0) break;
    at += count;
    pending.append(piece.data(), static_cast<size_t>(count));
    size_t begin = 0;
    for (size_t end = 0; (end = pending.find('\n', begin)) != std::string::npos; begin = end + 1) {
      note_line(std::string_view(pending).substr(begin, end - begin));
    }
    pending.erase(0, begin);
  }
  if (pending.empty()) return Status::ok();
  // A torn last line is ended here, so that the next one is whole.
  note_line(pending);
  return append("\n");
}

void Journal::note_line(std::string_view line) {
  const std::string_view key = key_of(line);
  if (key.empty()) {
    ++damaged_lines_;
  } else {
    keys_.emplace(key);
  }
}

bool Journal::contains(std::string_view key) const {
  const std::scoped_lock lock(mutex_);
  return keys_.contains(std::string(key));
}

Status Journal::add(std::string_view key, std::string_view id, std::string_view path,
                    int64_t unix_s) {
  const std::string rest = fmt::format("{} {} {} {}", unix_s, key, escape(id), escape(path));
  const std::scoped_lock lock(mutex_);
  if (!keys_.emplace(key).second) return Status::ok();
  const std::string line = fmt::format("{}{:08x} {}\n", is_torn_ ? "\n" : "", crc(rest), rest);
  Status written = append(line);
  is_torn_ = !written.is_ok();
  return written;
}

Status Journal::append(std::string_view line) {
  if (fd_ < 0) return failed(path_, "could not be opened again", EBADF);
  while (!line.empty()) {
    const ssize_t count = ::write(fd_, line.data(), line.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(path_, "cannot be written", errno);
    line.remove_prefix(static_cast<size_t>(count));
  }
  return Status::ok();
}

Status Journal::sync() {
  // Where the file is closed in between, no line may be on its way.
  std::unique_lock lock(mutex_, std::defer_lock);
  if (close_at_sync_) lock.lock();
  // Some file systems know no sync (EINVAL, ENOSYS): closing is all that can be done there.
  if (::fdatasync(fd_) != 0 && errno != EINVAL && errno != ENOSYS) {
    return failed(path_, "cannot be synced", errno);
  }
  if (!close_at_sync_) return Status::ok();
  if (const int result = ::close(std::exchange(fd_, -1)); result != 0) {
    return failed(path_, "cannot be closed", errno);
  }
  return open_file();
}

}  // namespace ca4::producer
