#include "cli/service.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <cstdio>

#include "archive/folder_archive.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "ops/logging.h"
#include "worker/archiver.h"
#include "worker/dead_letters.h"
#include "worker/worker.h"

namespace ca4::cli {
namespace {

using Mode = log::EmbeddedLogOptions::Mode;

log::EmbeddedLogOptions events_options(const config::Settings& settings, Roles roles) {
  log::EmbeddedLogOptions options;
  options.dir = log_dir(settings);
  options.topic = settings.log.topic;
  options.mode = roles.accepts ? Mode::kWriter : Mode::kReader;
  options.groups = {worker::kWorkerGroup};
  // Who archives says so: `serve` need not know whether `work` does.
  if (roles.works && settings.archive.enabled) options.groups.emplace_back(worker::kArchiverGroup);
  options.bytes_max = settings.log.bytes_max;
  options.retention_bytes = settings.log.retention_bytes;
  options.retention_age_s = settings.log.retention_age_s;
  options.queue_bytes_max = static_cast<size_t>(settings.log.queue_bytes_max);
  return options;
}

// Dead letters stay, however old, also behind a replay: one that was refused is nowhere else. A
// full log of them holds the worker up rather than dropping one.
log::EmbeddedLogOptions dead_letter_options(const config::Settings& settings, bool writer) {
  log::EmbeddedLogOptions options;
  options.dir = log_dir(settings);
  options.topic = dead_letter_topic(settings);
  options.mode = writer ? Mode::kWriter : Mode::kReader;
  options.groups = {worker::kReplayGroup};
  options.bytes_max = settings.log.bytes_max;
  options.retention_age_s = 0;
  options.retention_when_full = false;
  return options;
}

template <class T, class Opened>
Status take(Result<Opened> opened, T& into) {
  if (!opened) return opened.status();
  into = std::move(*opened);
  return Status::ok();
}

// For a process without the worker, which else measures it.
void add_lag_gauges(const config::Settings& settings, log::EmbeddedLog& events,
                    ops::Metrics& metrics) {
  for (const std::string& group : reading_groups(settings)) {
    const auto lag = [&events, group] {
      const Result<std::vector<log::PartitionLag>> rows = events.lag(group);
      if (!rows) return std::nan("");
      double records = 0;
      for (const log::PartitionLag& row : *rows) records += static_cast<double>(row.lag());
      return records;
    };
    metrics.gauge("ca4_lag_records", "Records of the log that the group has not committed yet", lag,
                  {{"group", group}});
  }
}

int serve_until_stopped(const char* who, const config::Settings& settings, Roles roles) {
  ops::Signals signals;
  const SystemClock clock;
  ops::Metrics metrics(CA4_VERSION);
  Result<Ports> ports = open_ports(settings, roles, clock);
  if (!ports) return report(who, ports.status());
  if (!roles.works) add_lag_gauges(settings, *ports->events, metrics);
  std::unique_ptr<Front> front;
  if (roles.accepts) {
    Result<std::unique_ptr<Front>> started = Front::start(settings, *ports, clock, metrics);
    if (!started) return report(who, started.status());
    front = std::move(*started);
  }
  std::unique_ptr<Back> back;
  if (roles.works) back = std::make_unique<Back>(settings, *ports, clock, metrics);
  // On standard output, for scripts: everything else goes to standard error.
  if (front) fmt::print("listening on {}\n", front->url());
  std::fflush(stdout);
  spdlog::info("{} runs on {}", who, settings.data_dir);
  run_until_stopped(signals, front.get());
  // First the door, then the disk: what was let in is finished.
  if (front) front->stop();
  if (back) back->stop();
  ports->events->close();
  ports->dead_letters->close();
  spdlog::info("{} stopped", who);
  return 0;
}

}  // namespace

std::vector<std::string> reading_groups(const config::Settings& settings) {
  std::vector<std::string> groups = {worker::kWorkerGroup};
  if (settings.archive.enabled) groups.emplace_back(worker::kArchiverGroup);
  return groups;
}

Result<Ports> open_ports(const config::Settings& settings, Roles roles, const Clock& clock) {
  Ports ports;
  Status status =
      take(log::EmbeddedLog::open(events_options(settings, roles), clock), ports.events);
  if (!status.is_ok()) return status;
  if (roles.works && !settings.archive.enabled) {
    status = ports.events->forget(worker::kArchiverGroup);
    if (!status.is_ok()) return status;
  }
  status = take(log::EmbeddedLog::open(dead_letter_options(settings, roles.works), clock),
                ports.dead_letters);
  if (!status.is_ok()) return status;
  status = take(store::EmbeddedStore::open(
                    {.dir = store_dir(settings), .file_name = store_file_name(settings)}),
                ports.store);
  if (!status.is_ok()) return status;
  if (roles.works && settings.archive.enabled) {
    status = take(archive::FolderArchive::open(archive_dir(settings)), ports.archive);
    if (!status.is_ok()) return status;
  }
  return ports;
}

Back::Back(const config::Settings& settings, Ports& ports, const Clock& clock,
           ops::Metrics& metrics) {
  const worker::BackoffLimits backoff{.max_ms = settings.worker.backoff_ms_max};
  worker::WorkerOptions options;
  options.batch_records_max = static_cast<size_t>(settings.worker.batch_records_max);
  options.batch_bytes_max = static_cast<size_t>(settings.worker.batch_bytes_max);
  options.backoff = backoff;
  worker_ = std::make_unique<worker::Worker>(*ports.events, *ports.store, *ports.dead_letters,
                                             clock, metrics.registry(), options);
  threads_.emplace_back([this] { worker_->run(); });
  if (!ports.archive) return;
  worker::ArchiverOptions archiver;
  archiver.records_max = static_cast<size_t>(settings.archive.records_max);
  archiver.linger_ms = settings.archive.linger_ms;
  archiver.backoff = backoff;
  archiver_ = std::make_unique<worker::Archiver>(*ports.events, *ports.archive, clock,
                                                 metrics.registry(), archiver);
  threads_.emplace_back([this] { archiver_->run(); });
}

Back::~Back() {
  stop();
}

void Back::stop() {
  worker_->stop();
  if (archiver_) archiver_->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void run_until_stopped(ops::Signals& signals, Front* front) {
  while (signals.wait() == ops::Signal::kReload) {
    if (front != nullptr) front->reload();
  }
  signals.let_end();
}

int run_service(const char* who, const config::Settings& settings, Roles roles) {
  const Status logging = ops::setup_logging(settings.logging.level, settings.logging.format);
  if (!logging.is_ok()) return report(who, logging);
  return serve_until_stopped(who, settings, roles);
}

}  // namespace ca4::cli
