#include "archive/folder_archive.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>

#include "archive/key.h"
#include "base/folders.h"

namespace ca4::archive {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIncoming = ".incoming";
// Writing an object takes seconds; one that was begun an hour ago has no writer any more.
constexpr auto kUnfinishedAge = std::chrono::hours(1);

Status io_error(std::string_view doing, const std::string& path) {
  return {Code::kIo, fmt::format("archive: {} {}: {}", doing, path, std::strerror(errno))};
}

// An open file that closes itself.
class File {
 public:
  File(const std::string& path, int flags) : path_(path), fd_(::open(path.c_str(), flags, 0666)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool is_open() const { return fd_ >= 0; }

  Status write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return io_error("write", path_);
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return Status::ok();
  }
  bool is_regular() const {
    struct stat info = {};
    return ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode);
  }
  // From the open file, which a `put` meanwhile does not touch: it makes another.
  Result<std::string> read() const {
    struct stat info = {};
    if (::fstat(fd_, &info) != 0) return io_error("read", path_);
    std::string bytes(static_cast<size_t>(info.st_size), '\0');
    for (size_t done = 0; done < bytes.size();) {
      const ssize_t got = ::read(fd_, bytes.data() + done, bytes.size() - done);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return io_error("read", path_);
      if (got == 0) return Status(Code::kIo, fmt::format("archive: {} was cut off", path_));
      done += static_cast<size_t>(got);
    }
    return bytes;
  }
  Status sync() const { return ::fsync(fd_) == 0 ? Status::ok() : io_error("sync", path_); }

 private:
  const std::string path_;
  const int fd_;
};

Status write_file(const std::string& path, std::string_view body) {
  const File file(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
  if (!file.is_open()) return io_error("create", path);
  Status status = file.write(body);
  return status.is_ok() ? file.sync() : status;
}

struct Listing {
  std::string_view prefix;
  std::string_view after;
  size_t limit;
  std::vector<ObjectInfo> found;

  bool full() const { return found.size() >= limit; }
  // Whether keys that begin with `start` can be wanted.
  bool may_begin_with(std::string_view start) const {
    const bool in_prefix = start.starts_with(prefix) || prefix.starts_with(start);
    return in_prefix && (start > after || after.starts_with(start));
  }
};

struct Entry {
  std::string name;  // of a folder with '/' behind it, so that names sort as the keys do
  fs::directory_entry file;
};

// The folder's objects and folders in the order of their keys. One that vanished is empty.
Result<std::vector<Entry>> entries_of(const std::string& path) {
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end;
       entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code ignored;
    if (entry->is_directory(ignored)) name += '/';
    entries.push_back({std::move(name), *entry});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Status(Code::kIo, fmt::format("archive: list {}: {}", path, error.message()));
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

// Adds what lies in the folder at `path`, whose keys begin with `start`.
Status list_folder(const std::string& path, const std::string& start, Listing& listing) {
  const Result<std::vector<Entry>> entries = entries_of(path);
  if (!entries) return entries.status();
  for (const Entry& entry : *entries) {
    if (listing.full()) break;
    const std::string key = start + entry.name;
    if (key.back() == '/') {
      if (!listing.may_begin_with(key)) continue;
      Status status = list_folder(entry.file.path().string(), key, listing);
      if (!status.is_ok()) return status;
      continue;
    }
    std::error_code error;
    const bool wanted = key.starts_with(listing.prefix) && key > listing.after;
    if (!wanted || !entry.file.is_regular_file(error)) continue;
    const uintmax_t size_bytes = entry.file.file_size(error);
    if (!error) listing.found.push_back({key, size_bytes});
  }
  return Status::ok();
}

// Unlike a process id, not the same in two containers that share the folder.
std::string random_name() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
}

}  // namespace

Result<std::unique_ptr<FolderArchive>> FolderArchive::open(const std::string& dir) {
  for (const std::string& folder : {dir, dir + "/" + kIncoming}) {
    if (Status status = make_durable_folders(folder); !status.is_ok()) return status;
  }
  std::unique_ptr<FolderArchive> archive(new FolderArchive(dir));
  if (Status status = archive->ping(); !status.is_ok()) return status;
  archive->remove_unfinished();
  return archive;
}

Result<std::unique_ptr<FolderArchive>> FolderArchive::open_read_only(const std::string& dir) {
  std::error_code error;
  if (!fs::is_directory(dir, error)) {
    return Status(Code::kNotFound, fmt::format("archive: {}: no such folder", dir));
  }
  return std::unique_ptr<FolderArchive>(new FolderArchive(dir));
}

// What can't be removed only takes space, so failures are nobody's concern here.
void FolderArchive::remove_unfinished() {
  const auto before = fs::file_time_type::clock::now() - kUnfinishedAge;
  std::error_code error;
  for (fs::directory_iterator file(fs::path(dir_) / kIncoming, error), end; !error && file != end;
       file.increment(error)) {
    std::error_code ignored;
    const auto changed = file->last_write_time(ignored);
    if (!ignored && changed < before) fs::remove(file->path(), ignored);
  }
}

// Another process may have made a folder without having synced it yet, so that it exists proves
// nothing: each is synced once.
Status FolderArchive::make_folders(const std::string& path) {
  {
    const std::lock_guard lock(mutex_);
    if (path == durable_folder_) return Status::ok();
  }
  std::string parent = dir_;
  for (const fs::path& part : fs::path(path)) {
    const std::string folder = parent + "/" + part.string();
    if (::mkdir(folder.c_str(), 0777) != 0 && errno != EEXIST) return io_error("make", folder);
    if (Status status = sync_folder(parent); !status.is_ok()) return status;
    parent = folder;
  }
  const std::lock_guard lock(mutex_);
  durable_folder_ = path;
  return Status::ok();
}

Status FolderArchive::put(std::string_view key, std::string_view body, std::string_view) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const std::string target = fmt::format("{}/{}", dir_, key);
  const std::string folder = fs::path(key).parent_path().string();
  if (Status status = make_folders(folder); !status.is_ok()) return status;
  const std::string unfinished = fmt::format("{}/{}/{}", dir_, kIncoming, random_name());
  Status status = write_file(unfinished, body);
  if (status.is_ok() && ::rename(unfinished.c_str(), target.c_str()) != 0) {
    status = io_error("rename to", target);
  }
  if (!status.is_ok()) {
    ::unlink(unfinished.c_str());
    // Somebody may have removed the folder that was made before: make it anew at the next try.
    const std::lock_guard lock(mutex_);
    durable_folder_.clear();
    return status;
  }
  return sync_folder(folder.empty() ? dir_ : dir_ + "/" + folder);
}

Result<std::string> FolderArchive::get(std::string_view key) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const std::string path = fmt::format("{}/{}", dir_, key);
  const File file(path, O_RDONLY | O_CLOEXEC);
  const bool missing = !file.is_open() && (errno == ENOENT || errno == ENOTDIR);
  if (!file.is_open() && !missing) return io_error("open", path);
  if (missing || !file.is_regular()) {
    return Status(Code::kNotFound, fmt::format("archive: no object '{}'", key));
  }
  return file.read();
}

Result<std::vector<ObjectInfo>> FolderArchive::list_page(std::string_view prefix,
                                                         std::string_view after, size_t limit) {
  Listing listing{prefix, after, limit, {}};
  const Status status = list_folder(dir_, "", listing);
  if (!status.is_ok()) return status;
  return std::move(listing.found);
}

// The folders stay: a `put` into one of them may be under way.
Status FolderArchive::remove(std::string_view key) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const std::string path = fmt::format("{}/{}", dir_, key);
  if (::unlink(path.c_str()) != 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR || errno == EISDIR;
    return missing ? Status::ok() : io_error("remove", path);
  }
  const std::string folder = fs::path(key).parent_path().string();
  return sync_folder(folder.empty() ? dir_ : dir_ + "/" + folder);
}

Status FolderArchive::ping() {
  const std::string incoming = fmt::format("{}/{}", dir_, kIncoming);
  return ::access(incoming.c_str(), W_OK | X_OK) == 0 ? Status::ok()
                                                      : io_error("write to", incoming);
}

}  // namespace ca4::archive
