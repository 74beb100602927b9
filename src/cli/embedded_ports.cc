#include "cli/embedded_ports.h"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

#include "archive/folder_archive.h"
#include "cli/data_layout.h"
#include "log/embedded_log.h"
#include "ops/metrics.h"
#include "store/embedded_store.h"
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
  options.mode = roles.accepts || roles.resends ? Mode::kWriter : Mode::kReader;
  options.groups = {worker::kWorkerGroup};
  // Who archives says so: `serve` need not know whether `work` does.
  if (roles.works && settings.archive.enabled) options.groups.emplace_back(worker::kArchiverGroup);
  options.bytes_max = settings.log.bytes_max;
  options.retention_bytes = settings.log.retention_bytes;
  // Whoever runs the pipeline decides what is old.
  options.retention_age_s = roles.resends ? 0 : settings.log.retention_age_s;
  options.queue_bytes_max = static_cast<size_t>(settings.log.queue_bytes_max);
  return options;
}

void add_gauges(const config::Settings& settings, log::EmbeddedLog& events, ops::Metrics& metrics) {
  metrics.gauge("ca4_log_used_bytes",
                [&events] { return static_cast<double>(events.bytes_used()); });
  metrics.gauge("ca4_log_max_bytes",
                [&settings] { return static_cast<double>(settings.log.bytes_max); });
}

// A tool that only looks must not take a mistyped folder for an empty log.
Status check_is_there(const Site& site) {
  std::error_code error;
  if (std::filesystem::is_directory(log_dir(site.settings), error)) return Status::ok();
  if (error == std::errc::permission_denied) {
    return {Code::kIo, fmt::format("{}: {}; run this as the user that the data belongs to",
                                   site.settings.data_dir, error.message())};
  }
  return {Code::kNotFound,
          fmt::format("{}: no data directory of ca4: it has no folder log; give the one that `ca4 "
                      "up` or `ca4 serve` was started with (--data-dir)",
                      site.settings.data_dir)};
}

}  // namespace

Result<std::unique_ptr<log::EventLog>> embedded_events(const Site& site, Roles roles) {
  if (!roles.accepts && !roles.works && !roles.resends) {
    if (Status missing = check_is_there(site); !missing.is_ok()) return missing;
  }
  auto opened = log::EmbeddedLog::open(events_options(site.settings, roles), site.clock);
  if (roles.resends && opened.status().code() == Code::kUnavailable) {
    return Status(Code::kUnavailable,
                  fmt::format("{}\nThe log has one writer. Stop `ca4 up` (or `ca4 serve`) first, "
                              "or use --endpoint URL to replay through it.",
                              opened.status().message()));
  }
  if (!opened) return opened.status();
  if (roles.works && !site.settings.archive.enabled) {
    const Status forgotten = (*opened)->forget(worker::kArchiverGroup);
    if (!forgotten.is_ok()) return forgotten;
  }
  if (roles.accepts && site.metrics != nullptr) add_gauges(site.settings, **opened, *site.metrics);
  return std::unique_ptr<log::EventLog>(std::move(*opened));
}

// Dead letters stay, however old, also behind a replay: one that was refused is nowhere else. A
// full log of them holds the worker up rather than dropping one.
Result<std::unique_ptr<log::EventLog>> embedded_dead_letters(const Site& site, bool writes) {
  if (!writes) {
    if (Status missing = check_is_there(site); !missing.is_ok()) return missing;
  }
  log::EmbeddedLogOptions options;
  options.dir = log_dir(site.settings);
  options.topic = dead_letter_topic(site.settings);
  options.mode = writes ? Mode::kWriter : Mode::kReader;
  options.groups = {worker::kReplayGroup};
  options.bytes_max = site.settings.log.bytes_max;
  options.retention_age_s = 0;
  options.retention_when_full = false;
  auto opened = log::EmbeddedLog::open(options, site.clock);
  if (!opened) return opened.status();
  return std::unique_ptr<log::EventLog>(std::move(*opened));
}

Result<std::unique_ptr<store::DocumentStore>> embedded_store(const Site& site, bool read_only) {
  auto opened = store::EmbeddedStore::open({.dir = store_dir(site.settings),
                                            .file_name = store_file_name(site.settings),
                                            .read_only = read_only});
  if (!opened) return opened.status();
  return std::unique_ptr<store::DocumentStore>(std::move(*opened));
}

Result<std::unique_ptr<archive::Archive>> embedded_archive(const Site& site, bool read_only) {
  const std::string dir = archive_dir(site.settings);
  auto opened =
      read_only ? archive::FolderArchive::open_read_only(dir) : archive::FolderArchive::open(dir);
  if (!opened) return opened.status();
  return std::unique_ptr<archive::Archive>(std::move(*opened));
}

}  // namespace ca4::cli
