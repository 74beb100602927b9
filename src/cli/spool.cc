// `ca4 spool`: the outbox, where events wait on disk while Kafka is away.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "cli/log_print.h"
#include "cli/spool_file.h"
#include "cli/spool_import.h"
#include "cli/spool_ports.h"
#include "cli/subcommand.h"
#include "event/event.h"
#include "log/inspect.h"

namespace ca4::cli {
namespace {

using Json = nlohmann::ordered_json;

double mib(int64_t bytes) {
  return static_cast<double>(bytes) / static_cast<double>(config::kMiB);
}

Result<int64_t> letters_of(const config::Settings& settings) {
  auto letters = log::LogInspector::open_file(outbox_letters_file(settings));
  if (letters.status().code() == Code::kNotFound) return int64_t{0};
  if (!letters) return letters.status();
  const Result<log::LogSummary> summary = letters->summary();
  if (!summary) return summary.status();
  return summary->end - summary->first;
}

class Spool final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(
        app, {config::Section::kGeneral},
        {"log.topic", "kafka.outbox_file", "kafka.outbox_bytes_max", "kafka.outbox_age_s_max"});
    add_format(app, format_, {"table", "ndjson"});
    app.require_subcommand(1);
    stats_ = add_command(app, "stats", "how much waits, since when, and how full it is");
    check_ = add_command(app, "check", "read everything; exit code 1 when something is damaged");
    export_ = add_command(app, "export",
                          "print what waits as consumers of Kafka get it, a line an event");
    export_->add_option("--output", output_, "write it to this file [standard output]")
        ->type_name("FILE");
    import_ =
        add_command(app, "import", "take in the CSV outbox of an older processor, while none runs");
    import_->add_option("FILE.csv", csv_, "rows of a Unix time and an event's JSON")->required();
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("spool", settings.status());
    if (import_->parsed()) return import(*settings);
    file_ = outbox_file(*settings);
    const Status ours = check_outbox_file(file_);
    if (!ours.is_ok()) return report("spool", ours);
    Result<log::LogInspector> outbox = log::LogInspector::open_file(file_);
    if (outbox.status().code() == Code::kNotFound) return report("spool", none_yet());
    if (!outbox) return report("spool", outbox.status());
    if (stats_->parsed()) return report("spool stats", stats(*settings, *outbox));
    if (check_->parsed()) return check(*outbox);
    return report("spool export", export_waiting(*outbox, output_));
  }

 private:
  bool table() const { return format_ == "table"; }

  Status none_yet() const {
    return {Code::kNotFound,
            fmt::format("there is no outbox {}, so nothing waits in it.\n`ca4 serve` and `ca4 up` "
                        "make it when they first start on Kafka; --data-dir (or "
                        "--kafka-outbox-file) and --topic must be theirs.",
                        file_)};
  }

  Status stats(const config::Settings& settings, log::LogInspector& outbox) const {
    const Result<Waiting> waiting = waiting_in(outbox);
    if (!waiting) return waiting.status();
    const Result<int64_t> letters = letters_of(settings);
    if (!letters) return letters.status();
    table() ? print_stats(settings.kafka, *waiting, *letters)
            : print_stats_json(settings.kafka, *waiting, *letters);
    return Status::ok();
  }

  void print_stats(const config::Kafka& limits, const Waiting& waiting, int64_t letters) const {
    fmt::print("file       {}\n", file_);
    fmt::print("waiting    {}\n", waiting.records);
    fmt::print("oldest     {}{}\n", time_text(waiting.oldest_us),
               waiting.oldest_us ? fmt::format(", {:.0f} s ago", age_s(waiting)) : "");
    fmt::print("delivered  {} not deleted yet\n", waiting.delivered);
    fmt::print("used       {:.1f} of at most {:.1f} MiB; the file has {:.1f}\n",
               mib(waiting.used_bytes), mib(limits.outbox_bytes_max), mib(waiting.file_bytes));
    fmt::print("age limit  {}\n", limits.outbox_age_s_max == 0
                                      ? "none"
                                      : fmt::format("{} s", limits.outbox_age_s_max));
    fmt::print("refused    {}{}\n", letters, letters == 0 ? "" : ": see `ca4 dlq list --outbox`");
  }

  void print_stats_json(const config::Kafka& limits, const Waiting& waiting,
                        int64_t letters) const {
    fmt::print("{}", json_line({{"file", file_},
                                {"waiting", waiting.records},
                                {"oldest", time_json(waiting.oldest_us)},
                                {"oldest_age_s", waiting.oldest_us ? Json(age_s(waiting)) : Json()},
                                {"delivered", waiting.delivered},
                                {"used_bytes", waiting.used_bytes},
                                {"file_bytes", waiting.file_bytes},
                                {"bytes_max", limits.outbox_bytes_max},
                                {"age_s_max", limits.outbox_age_s_max},
                                {"refused", letters}}));
  }

  double age_s(const Waiting& waiting) const {
    return static_cast<double>(clock_.now_us() - *waiting.oldest_us) / 1e6;
  }

  int check(log::LogInspector& outbox) const {
    const Result<log::CheckReport> checked =
        outbox.check([](std::string_view value) { return event::decode(value).status(); });
    if (!checked) return report("spool check", checked.status());
    fmt::print("{}", table() ? check_text(*checked,
                                          "What can't be read becomes a dead letter of the outbox, "
                                          "the rest goes to Kafka; `ca4 spool export` shows it.")
                             : check_json(*checked));
    return checked->whole() ? 0 : 1;
  }

  int import(const config::Settings& settings) const {
    const ImportOutcome outcome = import_into_outbox({settings, clock_}, csv_);
    const ImportReport& done = outcome.report;
    const std::string& rejected_file = outcome.rejected_file;
    if (table() && done.imported > 0) {
      fmt::print("{} events imported into {}; the next start of `ca4 serve` sends them to Kafka\n",
                 done.imported, outbox_file(settings));
    }
    if (table() && done.imported > 0 && settings.kafka.bootstrap.empty()) {
      fmt::print("kafka.bootstrap (KAFKA_BOOTSTRAP) is not set here; there it must be\n");
    }
    if (table() && outcome.status.is_ok() && done.imported == 0) {
      fmt::print("nothing to import: {} has no rows\n", csv_);
    }
    if (table() && !rejected_file.empty()) {
      fmt::print("{} rows rejected; they are in {}\n", done.rejected, rejected_file);
    }
    if (!table()) {
      fmt::print(
          "{}",
          json_line({{"imported", done.imported},
                     {"rejected", done.rejected},
                     {"rejected_file", rejected_file.empty() ? Json() : Json(rejected_file)}}));
    }
    return report("spool import", outcome.status);
  }

  SettingsFlags flags_;
  const SystemClock clock_;
  std::string format_ = "table";
  std::string file_;
  std::string output_;
  std::string csv_;
  CLI::App* stats_ = nullptr;
  CLI::App* check_ = nullptr;
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
};

}  // namespace

std::unique_ptr<Subcommand> make_spool() {
  return std::make_unique<Spool>();
}

}  // namespace ca4::cli
