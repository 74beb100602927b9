#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "verify/processor_checks.h"
#include "verify/suites.h"

namespace ca4::verify {
namespace {

namespace fs = std::filesystem;

// About 120,000 events of 2048 floats: hours of a busy laptop.
constexpr uint64_t kFreeBytesMin = uint64_t{1} << 30;

// The folder, or the nearest one above it that is there.
fs::path nearest_there(const std::string& dir) {
  std::error_code error;
  fs::path at = fs::absolute(dir, error);
  while (!fs::exists(at, error) && at.has_relative_path()) at = at.parent_path();
  return at;
}

// A folder that is made to see whether it can be, with those above it: gone again with this.
class TriedFolder {
 public:
  explicit TriedFolder(const std::string& dir) {
    const fs::path there = nearest_there(dir);
    for (fs::path at = fs::absolute(dir, error_); at != there && at.has_relative_path();
         at = at.parent_path()) {
      made_.push_back(at);
    }
    fs::create_directories(dir, error_);
  }
  // What a process has put there meanwhile stays, and so does the folder.
  ~TriedFolder() {
    std::error_code ignored;
    for (const fs::path& folder : made_) fs::remove(folder, ignored);
  }
  TriedFolder(const TriedFolder&) = delete;
  TriedFolder& operator=(const TriedFolder&) = delete;

  const std::error_code& error() const { return error_; }
  bool is_new() const { return !made_.empty(); }

 private:
  std::error_code error_;
  std::vector<fs::path> made_;  // the innermost first
};

Finding writable(const Folder& folder) {
  const std::string& dir = folder.path;
  const TriedFolder tried(dir);
  std::string pattern = dir + "/.verify-XXXXXX";
  const int fd = tried.error() ? -1 : mkostemp(pattern.data(), O_CLOEXEC);
  const std::string why = tried.error() ? tried.error().message() : std::strerror(errno);
  if (fd < 0) {
    return Finding::fail(
        fmt::format("{}: {}", dir, why),
        fmt::format("give this user the folder, or name another: {}", folder.setting));
  }
  const bool ok = ::write(fd, "ca4", 3) == 3 && ::fsync(fd) == 0;
  const std::string refused = std::strerror(errno);
  ::close(fd);
  ::unlink(pattern.c_str());
  if (ok) return Finding::pass(tried.is_new() ? dir + ": not there yet, can be made" : dir);
  return Finding::fail(fmt::format("{}: {}", dir, refused), "is the disk full, or failing?");
}

Finding disk_space(const Folder& folder) {
  const std::string there = nearest_there(folder.path).string();
  struct statvfs disk = {};
  if (::statvfs(there.c_str(), &disk) != 0) {
    return Finding::fail(fmt::format("{}: {}", there, std::strerror(errno)),
                         "see " + folder.setting);
  }
  const uint64_t free_bytes = uint64_t{disk.f_bavail} * disk.f_frsize;
  const std::string detail =
      fmt::format("{:.1f} GiB free", static_cast<double>(free_bytes) / double{1U << 30U});
  if (free_bytes >= kFreeBytesMin) return Finding::pass(detail);
  return Finding::fail(detail, fmt::format("make room (1 GiB at least), or name another folder: {}",
                                           folder.setting));
}

bool on_one_disk(const std::string& one, const std::string& other) {
  struct stat first = {};
  struct stat second = {};
  return ::stat(nearest_there(one).c_str(), &first) == 0 &&
         ::stat(nearest_there(other).c_str(), &second) == 0 && first.st_dev == second.st_dev;
}

bool is_below(const std::string& dir, const std::string& folder) {
  std::error_code error;
  const fs::path way = fs::absolute(folder, error).lexically_relative(fs::absolute(dir, error));
  return !way.empty() && *way.begin() != "..";
}

// The data directory, and what of the rest is somewhere else.
void check_folders(Checklist& list, const PreflightOptions& options) {
  if (list.check("data-dir", [dir = options.data_dir] { return writable(dir); })) {
    list.check("disk", [dir = options.data_dir] { return disk_space(dir); });
  }
  for (const Folder& folder : options.folders) {
    const bool apart = !on_one_disk(options.data_dir.path, folder.path);
    if (!apart && is_below(options.data_dir.path, folder.path)) continue;
    const bool usable = list.check(folder.name + "-dir", [folder] { return writable(folder); });
    if (usable && apart) list.check(folder.name + "-disk", [folder] { return disk_space(folder); });
  }
}

Finding log_reachable(const Open<log::EventLog>& open, const char* fix) {
  const Result<std::shared_ptr<log::EventLog>> events = open();
  if (!events) return Finding::fail(events.status(), fix);
  const Result<log::Description> where = (*events)->describe();
  if (!where) return Finding::fail(where.status(), "see `ca4 verify kafka`");
  return Finding::pass(where->brokers.empty() ? "the embedded log"
                                              : fmt::format("{} brokers", where->brokers.size()));
}

Finding store_reachable(const Open<store::DocumentStore>& open) {
  const Result<std::shared_ptr<store::DocumentStore>> store = open();
  if (!store) {
    return Finding::fail(store.status(),
                         "the store of `ca4 up` is made by its worker: start it; or "
                         "see store in `ca4 config`");
  }
  const Status answers = (*store)->ping();
  if (!answers.is_ok()) return Finding::fail(answers, "see `ca4 verify db`");
  return Finding::pass("it answers");
}

Finding archive_reachable(const Open<archive::Archive>& open) {
  if (!open) return Finding::skip("archive.enabled is false");
  const Result<std::shared_ptr<archive::Archive>> opened = open();
  if (opened.status().code() == Code::kNotFound) {
    return Finding::fail(opened.status(), "the worker makes it: start `ca4 up` or `ca4 work`");
  }
  if (!opened) return Finding::fail(opened.status(), "see archive in `ca4 config`");
  const Status answers = (*opened)->ping();
  if (!answers.is_ok()) return Finding::fail(answers, "see `ca4 verify archive`");
  return Finding::pass("it takes objects");
}

}  // namespace

void preflight(Checklist& list, const PreflightOptions& options, const Backends& backends) {
  const int64_t timeout_ms = list.timeout_ms();
  const Processor& processor = options.processor;
  check_folders(list, options);
  list.check("clock", [processor, timeout_ms] { return clock_sane(processor, timeout_ms); });
  const bool runs = list.check("processor", [processor, timeout_ms, version = options.version] {
    return processor_health(processor, version, timeout_ms);
  });
  if (runs) {
    list.check("processor-ready", [=] { return processor_ready(processor, timeout_ms); });
    list.check("token", [=] { return processor_token(processor, timeout_ms); });
  }
  const char* const fix = backends.log_fix("see log and kafka in `ca4 config`");
  list.check("event-log", [open = backends.events, fix] { return log_reachable(open, fix); });
  if (backends.workers_elsewhere) {
    for (const char* const name : {"database", "archive"}) {
      list.check(name, [] { return Finding::skip(kElsewhere); });
    }
    return;
  }
  list.check("database", [open = backends.store] { return store_reachable(open); });
  list.check("archive", [open = backends.archive] { return archive_reachable(open); });
}

}  // namespace ca4::verify
