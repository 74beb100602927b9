#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "verify/processor_checks.h"
#include "verify/suites.h"

namespace ca4::verify {
namespace {

// About 120,000 events of 2048 floats: hours of a busy laptop.
constexpr uint64_t kFreeBytesMin = uint64_t{1} << 30;

Finding writable(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  std::string pattern = dir + "/.verify-XXXXXX";
  const int fd = error ? -1 : mkostemp(pattern.data(), O_CLOEXEC);
  const std::string why = error ? error.message() : std::strerror(errno);
  if (fd < 0) {
    return Finding::fail(fmt::format("{}: {}", dir, why),
                         "give this user the folder, or name another: --data-dir");
  }
  const bool ok = ::write(fd, "ca4", 3) == 3 && ::fsync(fd) == 0;
  const std::string refused = std::strerror(errno);
  ::close(fd);
  ::unlink(pattern.c_str());
  if (ok) return Finding::pass(dir);
  return Finding::fail(fmt::format("{}: {}", dir, refused), "is the disk full, or failing?");
}

Finding disk_space(const std::string& dir) {
  struct statvfs disk = {};
  if (::statvfs(dir.c_str(), &disk) != 0) {
    return Finding::fail(fmt::format("{}: {}", dir, std::strerror(errno)), "see --data-dir");
  }
  const uint64_t free_bytes = uint64_t{disk.f_bavail} * disk.f_frsize;
  const std::string detail =
      fmt::format("{:.1f} GiB free", static_cast<double>(free_bytes) / double{1U << 30U});
  if (free_bytes >= kFreeBytesMin) return Finding::pass(detail);
  return Finding::fail(detail, "make room (1 GiB at least), or name another folder: --data-dir");
}

Finding log_reachable(const Open<log::EventLog>& open) {
  const Result<std::shared_ptr<log::EventLog>> events = open();
  if (!events) return Finding::fail(events.status(), "see log and kafka in `ca4 config`");
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
  if (!opened) return Finding::fail(opened.status(), "see archive in `ca4 config`");
  const Status answers = (*opened)->ping();
  if (!answers.is_ok()) return Finding::fail(answers, "see `ca4 verify archive`");
  return Finding::pass("it takes objects");
}

}  // namespace

void preflight(Checklist& list, const PreflightOptions& options, const Backends& backends) {
  const int64_t timeout_ms = list.timeout_ms();
  const Processor& processor = options.processor;
  if (list.check("data-dir", [dir = options.data_dir] { return writable(dir); })) {
    list.check("disk", [dir = options.data_dir] { return disk_space(dir); });
  }
  list.check("clock", [processor, timeout_ms] { return clock_sane(processor, timeout_ms); });
  const bool runs = list.check("processor", [processor, timeout_ms, version = options.version] {
    return processor_health(processor, version, timeout_ms);
  });
  if (runs) {
    list.check("processor-ready", [=] { return processor_ready(processor, timeout_ms); });
    list.check("token", [=] { return processor_token(processor, timeout_ms); });
  }
  list.check("event-log", [open = backends.events] { return log_reachable(open); });
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
