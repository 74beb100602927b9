// `ca4 dlq`: what could not be stored, why, and its way back.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <filesystem>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "cli/dlq_print.h"
#include "cli/dlq_resend.h"
#include "cli/subcommand.h"
#include "log/embedded_log.h"
#include "log/log_files.h"
#include "log/record_reader.h"
#include "worker/archiver.h"
#include "worker/dead_letters.h"
#include "worker/worker.h"

namespace ca4::cli {
namespace {

using worker::DeadLetter;

// Where the embedded logs of a data directory are.
struct Logs {
  config::Settings settings;
  std::string dir;
  std::string dead_topic;
};

log::EmbeddedLogOptions reader_options(const Logs& logs) {
  log::EmbeddedLogOptions options;
  options.dir = logs.dir;
  options.topic = logs.dead_topic;
  options.mode = log::EmbeddedLogOptions::Mode::kReader;
  return options;
}

// All letters from the oldest on, also beside a running worker. Not through a consumer: that would
// make a group known for which retention keeps everything.
Result<worker::NextRecords> open_letters(const Logs& logs) {
  const Result<log::LogPaths> paths = log::log_paths(logs.dir, logs.dead_topic);
  if (!paths) return paths.status();
  Result<log::RecordReader> opened = log::RecordReader::open(paths->records);
  if (opened.status().code() == Code::kNotFound) {
    return worker::NextRecords([] { return Result(std::vector<log::Record>()); });
  }
  if (!opened) return opened.status();
  auto reader = std::make_shared<log::RecordReader>(std::move(*opened));
  const Result<std::optional<int64_t>> first = reader->first();
  // A damaged beginning is read from 0 on, so that it shows.
  return worker::NextRecords(
      [reader,
       next = first ? first->value_or(0) : 0]() mutable -> Result<std::vector<log::Record>> {
        constexpr log::PollLimits kLimits;
        std::vector<log::Record> records;
        size_t bytes = 0;
        const Status read = reader->read(next, [&](const log::StoredRecord& stored) {
          bytes += stored.key.size() + stored.value.size();
          records.push_back(log::to_record(stored));
          next = stored.offset + 1;
          return records.size() < kLimits.records_max && bytes < kLimits.bytes_max;
        });
        if (!read.is_ok() && records.empty()) return read;
        return records;
      });
}

class Dlq final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kGeneral}, {"log.topic", "log.bytes_max"});
    add_format(app, format_, {"table", "ndjson"});
    app.require_subcommand(1);
    list_ = add_command(app, "list", "one line a dead letter, the newest last");
    list_->add_option("--limit", limit_, "how many of the newest; 0: all [20]")->type_name("N");
    show_ = add_command(app, "show", "everything about a dead letter, with its event");
    show_->add_option("ID", selectors_, "a metadata_id, or partition:offset as list shows it")
        ->required();
    count_ = add_command(app, "count", "how many there are, and how many were not replayed");
    replay_ = add_command(app, "replay", "send events on their way again");
    replay_->add_option("ID", selectors_,
                        "these, replayed before or not [all that were not replayed]");
    replay_->add_flag("--dry-run", dry_run_, "only say which");
    replay_
        ->add_option("--endpoint", endpoint_,
                     "through this processor, while it runs; the events count as accepted now "
                     "[into the log, with nothing running; they keep their place in time]")
        ->type_name("URL");
    replay_->add_option("--token-file", token_file_, "bearer token for --endpoint")
        ->type_name("FILE");
  }

  int run() override {
    Result<config::Settings> settings = flags_.load();
    if (!settings) return report("dlq", settings.status());
    Logs logs{std::move(*settings), "", ""};
    logs.dir = log_dir(logs.settings);
    logs.dead_topic = dead_letter_topic(logs.settings);
    std::error_code error;
    if (!std::filesystem::is_directory(logs.dir, error)) {
      return report("dlq", {Code::kNotFound, fmt::format("{}: no data directory of ca4: it has no "
                                                         "folder log",
                                                         logs.settings.data_dir)});
    }
    if (list_->parsed()) return report("dlq list", list(logs));
    if (show_->parsed()) return report("dlq show", show(logs));
    if (count_->parsed()) return report("dlq count", count(logs));
    return report("dlq replay", replay(logs));
  }

 private:
  bool table() const { return format_ == "table"; }

  void print_row(const DeadLetter& letter) const {
    fmt::print("{}", table() ? table_row(letter) : letter_json(letter, false));
  }

  // Without a limit letters are printed as they are read: there may be more than memory holds.
  Status list(const Logs& logs) const {
    const Result<worker::NextRecords> letters = open_letters(logs);
    if (!letters) return letters.status();
    if (table()) fmt::print("{}", table_head());
    std::deque<DeadLetter> newest;
    const Status visited = worker::visit_dead_letters(*letters, [&](DeadLetter&& letter) {
      if (limit_ == 0) {
        print_row(letter);
        return true;
      }
      newest.push_back(std::move(letter));
      if (newest.size() > limit_) newest.pop_front();
      return true;
    });
    for (const DeadLetter& letter : newest) print_row(letter);
    return visited;
  }

  Status show(const Logs& logs) const {
    const Result<worker::NextRecords> letters = open_letters(logs);
    if (!letters) return letters.status();
    // Shown, not sent: nothing is refused, a value that is no event is shown in hex.
    std::vector<std::string> missing = selectors_;
    const Status visited = worker::visit_dead_letters(*letters, [&](const DeadLetter& letter) {
      if (!worker::is_selected(letter, selectors_)) return true;
      std::erase_if(missing, [&](const std::string& selector) {
        return worker::is_selected(letter, {selector});
      });
      fmt::print("{}", table() ? letter_text(letter) : letter_json(letter, true));
      return true;
    });
    return visited.is_ok() ? not_found(missing) : visited;
  }

  Status count(const Logs& logs) const {
    const SystemClock clock;
    Result<std::unique_ptr<log::EmbeddedLog>> dead =
        log::EmbeddedLog::open(reader_options(logs), clock);
    if (!dead) return dead.status();
    const Result<std::vector<log::PartitionLag>> lag = (*dead)->lag(worker::kReplayGroup);
    if (!lag) return lag.status();
    const Result<worker::NextRecords> letters = open_letters(logs);
    if (!letters) return letters.status();
    LetterCounts counts;
    const Status visited = worker::visit_dead_letters(*letters, [&](const DeadLetter& letter) {
      ++counts.letters;
      ++counts.by_stage[letter.stage];
      if (letter.position.offset >= lag->front().committed) ++counts.waiting;
      return true;
    });
    fmt::print("{}", table() ? counts_text(counts) : counts_json(counts));
    return visited;
  }

  Status replay(const Logs& logs) const {
    if (dry_run_) return resend(logs, [](const DeadLetter&) { return Status::ok(); });
    if (!endpoint_.empty()) {
      const Result<std::string> token = read_token(token_file_);
      if (!token) return token.status();
      return resend(logs, through_processor(endpoint_, *token));
    }
    const SystemClock clock;
    Result<std::unique_ptr<log::EmbeddedLog>> source = open_source(logs, clock);
    if (!source) return source.status();
    return resend(logs, into_log(**source));
  }

  static Result<std::unique_ptr<log::EmbeddedLog>> open_source(const Logs& logs,
                                                               const Clock& clock) {
    log::EmbeddedLogOptions options;
    options.dir = logs.dir;
    options.topic = logs.settings.log.topic;
    options.groups = {worker::kWorkerGroup};
    options.bytes_max = logs.settings.log.bytes_max;
    options.retention_age_s = 0;  // whoever runs the pipeline decides what is old
    Result<std::unique_ptr<log::EmbeddedLog>> source =
        log::EmbeddedLog::open(std::move(options), clock);
    if (source.status().code() != Code::kUnavailable) return source;
    return Status(Code::kUnavailable,
                  fmt::format("{}\nThe log has one writer. Stop `ca4 up` (or `ca4 serve`) first, "
                              "or use --endpoint URL to replay through it.",
                              source.status().message()));
  }

  Status resend(const Logs& logs, const worker::Resend& send) const {
    if (dry_run_ && table()) fmt::print("{}", table_head());
    const worker::Resend resend = [&](const DeadLetter& letter) {
      const Status sent = send(letter);
      if (sent.is_ok() && (dry_run_ || !table())) print_row(letter);
      return sent;
    };
    worker::ReplayReport outcome;
    const Status status = selectors_.empty() ? resend_new(logs, resend, outcome)
                                             : resend_chosen(logs, resend, outcome);
    for (const auto& [name, why] : outcome.refused) {
      fmt::print(stderr, "ca4 dlq replay: {} not replayed: {}\n", name, printable(why));
    }
    if (table()) {
      fmt::print("{} {}, {} refused\n", outcome.replayed,
                 dry_run_ ? "would be replayed" : "replayed", outcome.refused.size());
    }
    if (!status.is_ok()) return status;
    if (const Status missing = not_found(outcome.not_found); !missing.is_ok()) return missing;
    if (outcome.refused.empty()) return status;
    return {Code::kInvalidArgument,
            fmt::format("{} of {} letters were refused", outcome.refused.size(),
                        outcome.refused.size() + outcome.replayed)};
  }

  Status resend_new(const Logs& logs, const worker::Resend& resend,
                    worker::ReplayReport& outcome) const {
    const SystemClock clock;
    Result<std::unique_ptr<log::EmbeddedLog>> dead =
        log::EmbeddedLog::open(reader_options(logs), clock);
    if (!dead) return dead.status();
    Result<std::unique_ptr<log::Consumer>> consumer = (*dead)->consumer(worker::kReplayGroup);
    if (!consumer) return consumer.status();
    if (!dry_run_) return worker::replay_new(**consumer, resend, outcome);
    return worker::replay_dry(**consumer, resend, outcome);
  }

  Status resend_chosen(const Logs& logs, const worker::Resend& resend,
                       worker::ReplayReport& outcome) const {
    const Result<worker::NextRecords> letters = open_letters(logs);
    if (!letters) return letters.status();
    return worker::replay_chosen(*letters, selectors_, resend, outcome);
  }

  static Status not_found(const std::vector<std::string>& names) {
    if (names.empty()) return Status::ok();
    return {Code::kNotFound, fmt::format("no dead letter {}", fmt::join(names, ", "))};
  }

  SettingsFlags flags_;
  std::string format_ = "table";
  size_t limit_ = 20;  // a screen
  std::vector<std::string> selectors_;
  bool dry_run_ = false;
  std::string endpoint_;
  std::string token_file_;
  CLI::App* list_ = nullptr;
  CLI::App* show_ = nullptr;
  CLI::App* count_ = nullptr;
  CLI::App* replay_ = nullptr;
};

}  // namespace

std::unique_ptr<Subcommand> make_dlq() {
  return std::make_unique<Dlq>();
}

}  // namespace ca4::cli
