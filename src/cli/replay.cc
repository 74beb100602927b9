// `ca4 replay`: fills the document store again, from the archive or from the event log.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>

#include "archive/folder_archive.h"
#include "base/printable.h"
#include "cli/common.h"
#include "cli/ports.h"
#include "cli/query_time.h"
#include "cli/subcommand.h"
#include "worker/replay.h"

namespace ca4::cli {
namespace {

using worker::ReplayProgress;
using Steady = std::chrono::steady_clock;

// A line that overwrites itself, on a terminal only.
class ProgressLine {
 public:
  void show(const ReplayProgress& progress) {
    const auto now = Steady::now();
    if (!on_terminal_ || now - shown_ < std::chrono::milliseconds(200)) return;
    shown_ = now;
    const double elapsed_s = std::chrono::duration<double>(now - began_).count();
    const auto documents = static_cast<double>(progress.documents);
    fmt::print(stderr, "\r{} documents, {:.0f}/s\x1b[K", progress.documents, documents / elapsed_s);
  }
  void clear() const {
    if (on_terminal_) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  const bool on_terminal_ = isatty(STDERR_FILENO) != 0;
  const Steady::time_point began_ = Steady::now();
  Steady::time_point shown_;
};

class Replay final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app,
               {config::Section::kGeneral, config::Section::kKafka, config::Section::kArchive,
                config::Section::kStore},
               {"log.topic"});
    archive_ = app.add_option("--from-archive", archive_dir_,
                              "from this folder [the archive of the settings: the S3 bucket, or "
                              "DATA_DIR/archive]")
                   ->type_name("[DIR]")
                   ->expected(0, 1);
    app.add_flag("--from-log", from_log_, "from the event log, from its oldest record on")
        ->excludes(archive_);
    app.add_option("--from", from_, "only what was accepted at or after this time")
        ->type_name("WHEN");
    app.add_option("--until", until_, "only what was accepted before this time")->type_name("WHEN");
    app.add_flag("--dry-run", options_.dry_run, "read everything, write nothing");
  }

  int run() override {
    if (!from_log_ && archive_->count() == 0) {
      return report("replay", {Code::kUsage, "say from where: --from-archive or --from-log"});
    }
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("replay", settings.status());
    const SystemClock clock;
    Status status = read_times(clock);
    if (status.is_ok()) status = replay({*settings, clock});
    return report("replay", status);
  }

 private:
  Status read_times(const Clock& clock) {
    for (const auto& [text, time] :
         {std::pair{&from_, &options_.from_us}, std::pair{&until_, &options_.until_us}}) {
      if (text->empty()) continue;
      const Result<int64_t> us = parse_when(*text, clock.now_us());
      if (!us) return Status(Code::kUsage, us.status().message());
      *time = *us;
    }
    return Status::ok();
  }

  Status replay(const Site& site) {
    std::unique_ptr<log::EventLog> log;
    std::unique_ptr<archive::Archive> archive;
    // The source first: a store must not be made for a source that is not there.
    Status status = from_log_ ? open_log(site, log) : open_source(site, archive);
    if (!status.is_ok()) return status;
    const Result<std::unique_ptr<store::DocumentStore>> store = open_store(site, false);
    if (!store) return store.status();
    ProgressLine line;
    worker::Replay replay(**store, site.clock, options_,
                          [&line](const ReplayProgress& progress) { line.show(progress); });
    status = log ? replay.from_log(*log) : replay.from_archive(*archive, site.settings.log.topic);
    line.clear();
    return summarise(replay.progress(), status);
  }

  static Status open_log(const Site& site, std::unique_ptr<log::EventLog>& log) {
    Result<std::unique_ptr<log::EventLog>> opened = open_events(site, {});
    if (opened) log = std::move(*opened);
    return opened.status();
  }

  Status open_source(const Site& site, std::unique_ptr<archive::Archive>& archive) const {
    if (archive_dir_.empty()) {
      Result<std::unique_ptr<archive::Archive>> opened = open_archive(site, true);
      if (opened) archive = std::move(*opened);
      return opened.status();
    }
    auto opened = archive::FolderArchive::open_read_only(archive_dir_);
    if (opened) archive = std::move(*opened);
    return opened.status();
  }

  Status summarise(const ReplayProgress& progress, const Status& status) const {
    for (const auto& [name, reason] : progress.problems) {
      fmt::print(stderr, "ca4 replay: {} left out: {}\n", printable(name), printable(reason));
    }
    fmt::print("{} documents read{}", progress.documents, options_.dry_run ? "" : ": ");
    if (!options_.dry_run) {
      fmt::print("{} inserted, {} updated, {} unchanged, {} older than what is there, {} refused",
                 progress.inserted, progress.updated, progress.unchanged, progress.stale,
                 progress.refused);
    }
    if (from_log_) {
      fmt::print("; {} records are no documents (see ca4 dlq list)\n", progress.skipped);
    } else {
      fmt::print("; {} parts, {} damaged\n", progress.parts, progress.damaged);
    }
    if (!status.is_ok()) {
      return {status.code(),
              status.message() + "\nWhat was written stays: run it again when that is mended."};
    }
    if (progress.damaged + progress.refused == 0) return Status::ok();
    return {Code::kCorruption,
            fmt::format("{} parts damaged, {} documents refused; everything else is in the store",
                        progress.damaged, progress.refused)};
  }

  SettingsFlags flags_;
  CLI::Option* archive_ = nullptr;
  bool from_log_ = false;
  std::string archive_dir_;
  std::string from_, until_;
  worker::ReplayOptions options_;
};

}  // namespace

std::unique_ptr<Subcommand> make_replay() {
  return std::make_unique<Replay>();
}

}  // namespace ca4::cli
