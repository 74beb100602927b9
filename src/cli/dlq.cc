// `ca4 dlq`: what could not be stored, why, and its way back.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/common.h"
#include "cli/dlq_print.h"
#include "cli/dlq_resend.h"
#include "cli/ports.h"
#include "cli/spool_ports.h"
#include "cli/subcommand.h"
#include "worker/dead_letters.h"

namespace ca4::cli {
namespace {

using worker::DeadLetter;

class Dlq final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kGeneral, config::Section::kKafka},
               {"log.topic", "log.bytes_max"});
    add_format(app, format_, {"table", "ndjson"});
    app.add_flag("--outbox", outbox_,
                 "the letters of events that Kafka refused when they came from the outbox");
    app.require_subcommand(1);
    list_ = add_command(app, "list", "one line a dead letter, the newest last");
    list_->add_option("--limit", limit_, "how many of the newest; 0: all [20]")
        ->type_name("N")
        ->check(whole_number(0, kLinesMax));
    show_ = add_command(app, "show", "everything about a dead letter, with its event");
    show_->add_option("ID", selectors_, "a metadata_id, or partition:offset as list shows it")
        ->required();
    count_ = add_command(app, "count", "how many there are, and how many were not replayed");
    replay_ = add_command(app, "replay", "send events on their way again");
    replay_->add_option("ID", selectors_,
                        "these, replayed before or not [all that were not replayed]");
    replay_->add_flag("--dry-run", dry_run_, "only say which");
    replay_
        ->add_option(
            "--endpoint", endpoint_,
            "through this processor, while it runs; the events count as accepted now "
            "[into the log, an embedded one with nothing running; they keep their place in time]")
        ->type_name("URL");
    replay_->add_option("--token-file", token_file_, "bearer token for --endpoint")
        ->type_name("FILE");
    replay_
        ->add_option("--ca-file", ca_file_,
                     "PEM certificates of the authorities that --endpoint's may come from; empty: "
                     "the system's")
        ->type_name("FILE");
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("dlq", settings.status());
    const SystemClock clock;
    const Site site{*settings, clock};
    const Result<std::unique_ptr<log::EventLog>> letters =
        outbox_ ? open_outbox_letters(site, false) : open_dead_letters(site, false);
    if (!letters) return report("dlq", letters.status());
    if (list_->parsed()) return report("dlq list", list(**letters));
    if (show_->parsed()) return report("dlq show", show(**letters));
    if (count_->parsed()) return report("dlq count", count(**letters));
    return report("dlq replay", replay(site, **letters));
  }

 private:
  bool table() const { return format_ == "table"; }

  void print_row(const DeadLetter& letter) const {
    fmt::print("{}", table() ? table_row(letter) : letter_json(letter, false));
  }

  // Without a limit letters are printed as they are read: there may be more than memory holds.
  Status list(log::EventLog& dead) const {
    const Result<log::NextRecords> letters = log::read_to_end(dead);
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

  Status show(log::EventLog& dead) const {
    const Result<log::NextRecords> letters = log::read_to_end(dead);
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

  Status count(log::EventLog& dead) const {
    const Result<std::vector<log::PartitionLag>> lag = dead.lag(worker::kReplayGroup);
    if (!lag) return lag.status();
    std::map<int32_t, int64_t> replayed;  // up to here, a partition
    for (const log::PartitionLag& row : *lag) replayed[row.partition] = row.committed;
    const Result<log::NextRecords> letters = log::read_to_end(dead);
    if (!letters) return letters.status();
    LetterCounts counts;
    const Status visited = worker::visit_dead_letters(*letters, [&](const DeadLetter& letter) {
      ++counts.letters;
      ++counts.by_stage[letter.stage];
      if (letter.position.offset >= replayed[letter.position.partition]) ++counts.waiting;
      return true;
    });
    fmt::print("{}", table() ? counts_text(counts) : counts_json(counts));
    return visited;
  }

  Status replay(const Site& site, log::EventLog& dead) const {
    if (dry_run_) return resend(dead, [](const DeadLetter&) { return Status::ok(); });
    if (!endpoint_.empty()) {
      const Result<std::string> token = read_token(token_file_);
      if (!token) return token.status();
      if (Status bad = check_ca_file("--ca-file", ca_file_); !bad.is_ok()) return bad;
      return resend(
          dead, through_processor({.endpoint = endpoint_, .token = *token, .ca_file = ca_file_}));
    }
    const Result<std::unique_ptr<log::EventLog>> source = open_events(site, {.resends = true});
    if (!source) return source.status();
    return resend(dead, into_log(**source));
  }

  Status resend(log::EventLog& dead, const worker::Resend& send) const {
    if (dry_run_ && table()) fmt::print("{}", table_head());
    const worker::Resend resend = [&](const DeadLetter& letter) {
      const Status sent = send(letter);
      if (sent.is_ok() && (dry_run_ || !table())) print_row(letter);
      return sent;
    };
    worker::ReplayReport outcome;
    const Status status = selectors_.empty() ? resend_new(dead, resend, outcome)
                                             : resend_chosen(dead, resend, outcome);
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

  Status resend_new(log::EventLog& dead, const worker::Resend& resend,
                    worker::ReplayReport& outcome) const {
    const Result<std::vector<log::PartitionLag>> lag = dead.lag(worker::kReplayGroup);
    if (!lag) return lag.status();
    const Result<std::unique_ptr<log::Consumer>> consumer = dead.consumer(worker::kReplayGroup);
    if (!consumer) return consumer.status();
    const log::NextRecords letters = log::read_until(**consumer, *lag);
    if (!dry_run_) return worker::replay_new(letters, **consumer, resend, outcome);
    return worker::replay_dry(letters, resend, outcome);
  }

  Status resend_chosen(log::EventLog& dead, const worker::Resend& resend,
                       worker::ReplayReport& outcome) const {
    const Result<log::NextRecords> letters = log::read_to_end(dead);
    if (!letters) return letters.status();
    return worker::replay_chosen(*letters, selectors_, resend, outcome);
  }

  static Status not_found(const std::vector<std::string>& names) {
    if (names.empty()) return Status::ok();
    return {Code::kNotFound, fmt::format("no dead letter {}", fmt::join(names, ", "))};
  }

  SettingsFlags flags_;
  std::string format_ = "table";
  bool outbox_ = false;
  size_t limit_ = 20;  // a screen
  std::vector<std::string> selectors_;
  bool dry_run_ = false;
  std::string endpoint_;
  std::string token_file_;
  std::string ca_file_;
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
