// A library for LD_PRELOAD: spoils what a program does to one folder of files, as Control orders,
// and records it in its order. Environment: CA4_DISK_ROOT (the folder, absolute), CA4_DISK_CONTROL
// (the file of Control), CA4_DISK_RECORD (where to append entries; empty: nowhere).
//
// It sees what SQLite, the archive and the standard library call: no stdio, no memory maps (SQLite
// maps its -shm files, which nobody needs after a power cut, and reads).
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "preload/control.h"

namespace ca4::disk {
namespace {

constexpr size_t kDescriptorsMax = 1 << 16;

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

#define CA4_NEXT(name) next<decltype(::name)>(#name)

int open_as_told(const char* path, int flags, mode_t mode) {
  static auto* const real = CA4_NEXT(open64);
  return real(path, flags, mode);
}

class Disk {
 public:
  Disk() {
    const char* root = getenv("CA4_DISK_ROOT");
    const char* control = getenv("CA4_DISK_CONTROL");
    if (root == nullptr || control == nullptr) return;
    const int fd = open_as_told(control, O_RDWR | O_CLOEXEC, 0);
    void* shared = fd < 0
                       ? MAP_FAILED
                       : mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) {
      perror(control);
      abort();
    }
    control_ = static_cast<Control*>(shared);
    root_ = root;
    const char* record = getenv("CA4_DISK_RECORD");
    if (record == nullptr || *record == '\0') return;
    record_ = open_as_told(record, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (record_ >= 0) return;
    perror(record);
    abort();
  }

  Control& control() { return *control_; }

  // The path of what is in the folder, absolute; empty for all else.
  std::string inside(const char* path) const {
    if (control_ == nullptr || path == nullptr) return {};
    std::string whole = path;
    if (*path != '/') {
      char here[PATH_MAX];
      if (getcwd(here, sizeof here) == nullptr) return {};
      whole = std::string(here) + "/" + path;
    }
    const bool is_inside =
        whole.starts_with(root_) && (whole.size() == root_.size() || whole[root_.size()] == '/');
    return is_inside ? whole : std::string();
  }

  bool knows(int fd) const {
    return control_ != nullptr && fd >= 0 && static_cast<size_t>(fd) < kDescriptorsMax &&
           known_[static_cast<size_t>(fd)].load(std::memory_order_relaxed);
  }
  void know(int fd, bool yes) {
    if (control_ == nullptr || fd < 0 || static_cast<size_t>(fd) >= kDescriptorsMax) return;
    known_[static_cast<size_t>(fd)].store(yes, std::memory_order_relaxed);
  }

  void enter() {
    ++under_way_;
    while (dying_) {
      --under_way_;
      for (;;) pause();
    }
  }
  void leave() { --under_way_; }

  // Nothing that has begun stays without its entry.
  [[noreturn]] void die() {
    dying_ = true;
    while (under_way_ > 1) usleep(50);
    for (;;) kill(getpid(), SIGKILL);
  }

  void record(Entry entry, std::string_view path, std::string_view data) {
    if (record_ < 0) return;
    static auto* const real = CA4_NEXT(writev);
    entry.path_bytes = static_cast<uint32_t>(path.size());
    entry.data_bytes = data.size();
    const iovec parts[] = {{&entry, sizeof entry},
                           {const_cast<char*>(path.data()), path.size()},
                           {const_cast<char*>(data.data()), data.size()}};
    const auto whole = static_cast<ssize_t>(sizeof entry + path.size() + data.size());
    if (real(record_, parts, 3) == whole) return;
    perror("CA4_DISK_RECORD");
    abort();
  }

 private:
  Control* control_ = nullptr;
  std::string root_;
  int record_ = -1;
  std::array<std::atomic<bool>, kDescriptorsMax> known_{};
  std::atomic<int> under_way_{0};
  std::atomic<bool> dying_{false};
};

// Never destroyed: files are closed after the last destructor.
Disk& disk() {
  static Disk& one = *new Disk;
  return one;
}

// One call on the folder, from its beginning to its end.
class Call {
 public:
  // errno is set when it is spoilt().
  explicit Call(Kind kind) : saved_(errno) {
    disk().enter();
    Control& control = disk().control();
    ++control.calls[static_cast<uint32_t>(kind)];
    begun_ = ++control.clock;
    if ((control.kinds & (1U << static_cast<uint32_t>(kind))) == 0) return;
    if (--control.skip >= 0 || --control.left < 0) return;
    ++control.hits;
    if (control.way == Way::kDies) disk().die();
    is_short_ = control.way == Way::kShort;
    is_spoilt_ = !is_short_;
    if (is_spoilt_) saved_ = control.error;
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    disk().leave();
    errno = saved_;
  }

  bool is_spoilt() const { return is_spoilt_; }
  bool is_short() const { return is_short_; }

  // What the real call returned, whose errno stays what it is.
  template <typename Result>
  Result returned(Result result) {
    saved_ = errno;
    ended_ = ++disk().control().clock;
    return result;
  }

  void record(Op op, std::string_view path, int fd = -1, int64_t at = 0,
              std::string_view data = {}) const {
    struct stat info = {};
    if (fd >= 0 && fstat(fd, &info) != 0) return;
    disk().record({begun_, ended_, info.st_ino, at, op, 0, 0}, path, data);
  }

 private:
  int saved_;
  uint64_t begun_ = 0;
  uint64_t ended_ = 0;
  bool is_spoilt_ = false;
  bool is_short_ = false;
};

int open_file(const char* path, int flags, mode_t mode) {
  const std::string whole = disk().inside(path);
  if (whole.empty()) return open_as_told(path, flags, mode);
  Call call(Kind::kOpen);
  if (call.is_spoilt()) return -1;
  const int fd = call.returned(open_as_told(path, flags, mode));
  if (fd < 0) return fd;
  disk().know(fd, true);
  if ((flags & O_CREAT) != 0) call.record(Op::kOpen, whole, fd);
  if ((flags & O_TRUNC) != 0) call.record(Op::kTruncate, {}, fd, 0);
  return fd;
}

// `written(size)` is the real call.
template <typename Written>
ssize_t write_at(int fd, const void* bytes, size_t size, int64_t at, Written written) {
  Call call(Kind::kWrite);
  if (call.is_spoilt()) return -1;
  const ssize_t done = call.returned(written(call.is_short() && size > 1 ? size / 2 : size));
  if (done > 0) {
    call.record(Op::kWrite, {}, fd, at,
                {static_cast<const char*>(bytes), static_cast<size_t>(done)});
  }
  return done;
}

template <typename Read>
ssize_t read_from(int fd, Read read) {
  if (!disk().knows(fd)) return read();
  Call call(Kind::kRead);
  return call.is_spoilt() ? -1 : call.returned(read());
}

// fsync and fdatasync, of files and of folders; a folder is told by its path.
int sync_file(int fd, int (*real)(int)) {
  if (!disk().knows(fd)) return real(fd);
  Call call(Kind::kSync);
  if (call.is_spoilt()) return -1;
  Control& control = disk().control();
  if (control.lies != 0) {
    ++control.lied;
    return 0;
  }
  if (const uint32_t delay_us = control.delay_us; delay_us > 0) {
    ++control.delayed;
    usleep(delay_us);
  }
  if (call.returned(real(fd)) != 0) return -1;
  char path[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t bytes = readlink(link.c_str(), path, sizeof path);
  call.record(Op::kSync, {path, bytes > 0 ? static_cast<size_t>(bytes) : 0}, fd);
  return 0;
}

int set_size(int fd, int64_t size) {
  static auto* const real = CA4_NEXT(ftruncate64);
  if (!disk().knows(fd)) return real(fd, size);
  Call call(Kind::kTruncate);
  if (call.is_spoilt()) return -1;
  const int done = call.returned(real(fd, size));
  if (done == 0) call.record(Op::kTruncate, {}, fd, size);
  return done;
}

// Makes room; a file that becomes longer by it is recorded as that.
int make_room(int fd, int mode, int64_t at, int64_t size) {
  static auto* const real = CA4_NEXT(fallocate64);
  if (!disk().knows(fd)) return real(fd, mode, at, size);
  Call call(Kind::kTruncate);
  if (call.is_spoilt()) return -1;
  const int done = call.returned(real(fd, mode, at, size));
  struct stat info = {};
  if (done == 0 && mode == 0 && fstat(fd, &info) == 0) {
    call.record(Op::kTruncate, {}, fd, info.st_size);
  }
  return done;
}

int take_name(const char* path, int (*real)(const char*)) {
  const std::string whole = disk().inside(path);
  if (whole.empty()) return real(path);
  Call call(Kind::kName);
  if (call.is_spoilt()) return -1;
  const int done = call.returned(real(path));
  if (done == 0) call.record(Op::kUnlink, whole);
  return done;
}

}  // namespace
}  // namespace ca4::disk

using namespace ca4::disk;

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_file(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_file(path, flags, mode);
}

int close(int fd) {
  static auto* const real = CA4_NEXT(close);
  disk().know(fd, false);
  return real(fd);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  static auto* const real = CA4_NEXT(write);
  if (!disk().knows(fd)) return real(fd, bytes, size);
  const int64_t at = lseek(fd, 0, SEEK_CUR);
  return write_at(fd, bytes, size, at, [&](size_t most) { return real(fd, bytes, most); });
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t at) {
  static auto* const real = CA4_NEXT(pwrite64);
  if (!disk().knows(fd)) return real(fd, bytes, size, at);
  return write_at(fd, bytes, size, at, [&](size_t most) { return real(fd, bytes, most, at); });
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  return pwrite64(fd, bytes, size, at);
}

ssize_t read(int fd, void* bytes, size_t size) {
  static auto* const real = CA4_NEXT(read);
  return read_from(fd, [&] { return real(fd, bytes, size); });
}

ssize_t pread64(int fd, void* bytes, size_t size, off64_t at) {
  static auto* const real = CA4_NEXT(pread64);
  return read_from(fd, [&] { return real(fd, bytes, size, at); });
}

int fsync(int fd) {
  static auto* const real = CA4_NEXT(fsync);
  return sync_file(fd, real);
}

int fdatasync(int fd) {
  static auto* const real = CA4_NEXT(fdatasync);
  return sync_file(fd, real);
}

int ftruncate64(int fd, off64_t size) noexcept {
  return set_size(fd, size);
}

int ftruncate(int fd, off_t size) noexcept {
  return set_size(fd, size);
}

int fallocate64(int fd, int mode, off64_t at, off64_t size) {
  return make_room(fd, mode, at, size);
}

int fallocate(int fd, int mode, off_t at, off_t size) {
  return make_room(fd, mode, at, size);
}

int unlink(const char* path) noexcept {
  static auto* const real = CA4_NEXT(unlink);
  return take_name(path, real);
}

int remove(const char* path) noexcept {
  static auto* const real = CA4_NEXT(remove);
  return take_name(path, real);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const real = CA4_NEXT(rename);
  const std::string whole = disk().inside(from);
  const std::string target = disk().inside(to);
  if (whole.empty() || target.empty()) return real(from, to);
  Call call(Kind::kName);
  if (call.is_spoilt()) return -1;
  const int done = call.returned(real(from, to));
  if (done == 0) call.record(Op::kRename, whole, -1, 0, target);
  return done;
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const real = CA4_NEXT(mkdir);
  const std::string whole = disk().inside(path);
  if (whole.empty()) return real(path, mode);
  Call call(Kind::kName);
  if (call.is_spoilt()) return -1;
  const int done = call.returned(real(path, mode));
  if (done == 0) call.record(Op::kMakeFolder, whole);
  return done;
}

}  // extern "C"
