// `ca4 verify`: is everything there, and does an event get all the way?
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/printable.h"
#include "base/terminal.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "cli/ports.h"
#include "cli/subcommand.h"
#include "tunnel/probe.h"
#include "verify/suites.h"
#include "worker/archiver.h"

namespace ca4::cli {
namespace {

using verify::Finding;

// What openers use: kept by each of them, because a check that hangs outlives the command.
struct Ground {
  config::Settings settings;
  SystemClock clock;
  Site site() const { return {.settings = settings, .clock = clock}; }
};
using GroundPtr = std::shared_ptr<const Ground>;

template <class Port>
Result<std::shared_ptr<Port>> shared(Result<std::unique_ptr<Port>> opened) {
  if (!opened) return opened.status();
  return std::shared_ptr<Port>(std::move(*opened));
}

// On a laptop in front of Kafka no store is named, and the one that `ca4 serve` makes for its page
// stays empty. Beside a worker that has stored nothing yet the answer is the same, and as good.
bool workers_elsewhere(const Site& site) {
  if (site.settings.kafka.bootstrap.empty() || !site.settings.store.mongo_uri.empty()) return false;
  const Result<std::unique_ptr<store::DocumentStore>> store = open_store(site, true);
  if (!store) return store.status().code() == Code::kNotFound;
  bool empty = true;
  const Status read =
      (*store)->find({}, {.limit = 1}, [&](const store::Document&) { return empty = false; });
  return read.is_ok() && empty;
}

verify::Backends backends(const GroundPtr& ground) {
  verify::Backends made;
  made.events = [ground] { return shared(open_events(ground->site(), Roles{})); };
  if (!ground->settings.kafka.bootstrap.empty()) {
    made.events_write = [ground] {
      return shared(open_events(ground->site(), Roles{.resends = true}));
    };
  }
  made.dead_letters = [ground] { return shared(open_dead_letters(ground->site(), false)); };
  made.store = [ground]() -> Result<std::shared_ptr<store::DocumentStore>> {
    // Reading first: writing would make an embedded store where there is none.
    const Result<std::unique_ptr<store::DocumentStore>> there = open_store(ground->site(), true);
    if (!there) return there.status();
    return shared(open_store(ground->site(), false));
  };
  if (ground->settings.archive.enabled) {
    made.archive = [ground]() -> Result<std::shared_ptr<archive::Archive>> {
      // Likewise.
      if (ground->settings.archive.s3_bucket.empty()) {
        const Result<std::unique_ptr<archive::Archive>> there = open_archive(ground->site(), true);
        if (!there) return there.status();
      }
      return shared(open_archive(ground->site(), false));
    };
  }
  made.groups = reading_groups(ground->settings);
  made.archive_group = worker::kArchiverGroup;
  made.workers_elsewhere = workers_elsewhere(ground->site());
  return made;
}

// A folder of the data directory may be a link, or another disk mounted there.
std::vector<verify::Folder> folders(const config::Settings& settings) {
  std::vector<verify::Folder> out;
  if (settings.kafka.bootstrap.empty()) {
    out.push_back({"log", log_dir(settings), "--data-dir"});
  } else if (uses_outbox(settings)) {
    const std::string folder = std::filesystem::path(outbox_file(settings)).parent_path().string();
    out.push_back({"outbox", folder.empty() ? "." : folder, "--kafka-outbox-file"});
  }
  if (settings.store.mongo_uri.empty()) {
    out.push_back({"store", store_dir(settings), "--data-dir"});
  }
  if (settings.archive.enabled && settings.archive.s3_bucket.empty()) {
    out.push_back({"archive", archive_dir(settings), "--data-dir"});
  }
  return out;
}

void check_tunnel(verify::Checklist& list, const config::Tunnel& settings) {
  const bool ssm = settings.via == "ssm";
  if ((ssm ? settings.ssm_target : settings.bastion).empty()) return;
  const Result<std::vector<config::Forward>> forwards = config::parse_forwards(settings.forwards);
  if (!forwards) return;  // the check of the configuration says so
  for (const config::Forward& forward : *forwards) {
    list.check("tunnel " + forward.target(), [forward, timeout_ms = settings.check_timeout_ms] {
      const tunnel::Answer answer = tunnel::ask_through(forward, timeout_ms);
      const std::string detail = fmt::format("127.0.0.1:{}: {}", forward.local_port, answer.detail);
      if (answer.kind == tunnel::Answer::Kind::kHealthy) return Finding::pass(detail);
      return Finding::fail(detail, "`ca4 tunnel` keeps it up; see `ca4 tunnel --status`");
    });
  }
}

std::string seconds(int64_t us) {
  return us < 1'000'000 ? fmt::format("{:.0f} ms", static_cast<double>(us) / 1e3)
                        : fmt::format("{:.1f} s", static_cast<double>(us) / 1e6);
}

// One line a check; why and what to do below it.
class Printer {
 public:
  explicit Printer(bool quiet) : quiet_(quiet), colour_(takes_colours(STDOUT_FILENO)) {}

  void begin(const std::string& suite) const {
    if (!quiet_) fmt::print("{}\n", suite);
  }

  void print(const verify::CheckResult& result) const {
    if (quiet_) return;
    const Finding& finding = result.finding;
    const char* const word = finding.outcome == verify::Outcome::kPass   ? "ok"
                             : finding.outcome == verify::Outcome::kFail ? "FAIL"
                                                                         : "skip";
    const char* const shade = finding.outcome == verify::Outcome::kPass   ? "\x1b[32m"
                              : finding.outcome == verify::Outcome::kFail ? "\x1b[31m"
                                                                          : "\x1b[33m";
    fmt::print("  {}{:<4}{} {:<20} {:>8}  {}\n", colour_ ? shade : "", word,
               colour_ ? "\x1b[0m" : "", result.name, seconds(result.took_us),
               printable(finding.detail));
    if (!finding.fix.empty()) fmt::print("{:>38}what to do: {}\n", "", finding.fix);
    std::fflush(stdout);
  }

 private:
  const bool quiet_;
  const bool colour_;
};

class Verify final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    using config::Section;
    flags_.add(app,
               {Section::kGeneral, Section::kLog, Section::kKafka, Section::kArchive,
                Section::kStore, Section::kTunnel},
               {"producer.endpoint", "producer.token_file", "producer.ca_file"});
    app.add_option(
           "SUITE", suites_,
           "what to look at; preflight: is everything there? workflow: an event all the way")
        ->type_name("preflight|kafka|db|archive|workflow")
        ->required()
        ->check(one_of({"preflight", "kafka", "db", "archive", "workflow"}));
    app.add_option("--until", until_, "last hop of workflow [archive]")
        ->type_name("log|database|archive")
        ->check(one_of({"log", "database", "archive"}));
    app.add_option("--timeout-s", timeout_s_,
                   "how long a check may take, in seconds; the archive's linger comes on top [10]")
        ->type_name("N")
        ->check(whole_number(1, 3600));
    app.add_flag("--json", json_, "print one JSON object at the end instead of lines");
  }

  int run() override {
    std::signal(SIGPIPE, SIG_IGN);
    const Result<config::Loaded> loaded = flags_.load_all();
    if (!loaded) return report("verify", loaded.status());
    const bool preflight = suites_.front() == "preflight";
    // A preflight reports a wrong configuration as one of its checks.
    if (!preflight && !loaded->status().is_ok()) return report("verify", loaded->status());
    const Printer printer(json_);
    verify::Checklist list([&](const verify::CheckResult& result) { printer.print(result); },
                           int64_t{timeout_s_} * 1000);
    for (const std::string& suite : suites_) {
      printer.begin(suite);
      list.begin(suite);
      if (!run_suite(list, suite, *loaded)) break;
    }
    return conclude(list);
  }

 private:
  // False when the others need not be tried.
  bool run_suite(verify::Checklist& list, const std::string& suite, const config::Loaded& loaded) {
    const auto ground = std::make_shared<const Ground>(Ground{in_time(loaded.settings), {}});
    const config::Settings& settings = ground->settings;
    if (suite == "preflight" && !check_configuration(list, loaded)) return false;
    const Result<std::string> token = read_token(settings.producer.token_file);
    const verify::Processor processor{settings.producer.endpoint, token ? *token : "",
                                      settings.producer.ca_file};
    if (suite == "preflight" || suite == "workflow") {
      if (!check_client_files(list, token.status(), settings.producer.ca_file)) return false;
    }
    const verify::Backends made = backends(ground);
    if (suite == "preflight") {
      check_tunnel(list, settings.tunnel);
      verify::preflight(
          list,
          {processor, {"data", settings.data_dir, "--data-dir"}, folders(settings), CA4_VERSION},
          made);
    }
    if (suite == "kafka") {
      verify::kafka(list, {settings.log.topic, dead_letter_topic(settings)}, made);
    }
    if (suite == "db") verify::db(list, made);
    if (suite == "archive") verify::archive(list, made);
    if (suite == "workflow") {
      const verify::Hop until = until_ == "log"        ? verify::Hop::kLog
                                : until_ == "database" ? verify::Hop::kDatabase
                                                       : verify::Hop::kArchive;
      verify::workflow(list, {processor, until, settings.archive.linger_ms}, made);
    }
    return true;
  }

  // A database that is away must be said to be that before the check is given up without a reason.
  config::Settings in_time(config::Settings settings) const {
    const int64_t most_ms = int64_t{timeout_s_} * 1000 * 4 / 5;
    int64_t& selection_ms = settings.store.mongo_selection_timeout_ms;
    selection_ms = std::min(selection_ms, most_ms);
    return settings;
  }

  static bool check_configuration(verify::Checklist& list, const config::Loaded& loaded) {
    return list.check("configuration", [status = loaded.status()] {
      if (status.is_ok()) return Finding::pass("valid; `ca4 config` shows it");
      return Finding::fail(status, "correct it; docs/configuration.md has every setting");
    });
  }

  // Of what the checks need to speak to the processor at all; those that are well need no line.
  static bool check_client_files(verify::Checklist& list, const Status& token,
                                 const std::string& ca_file) {
    if (!token.is_ok()) {
      return list.check("token-file", [token] {
        return Finding::fail(token, "see producer.token_file (--token-file)");
      });
    }
    const Status trusted = check_ca_file("producer.ca_file", ca_file);
    return trusted.is_ok() || list.check("ca-file", [trusted] {
      return Finding::fail(trusted, "see producer.ca_file (--ca-file)");
    });
  }

  int conclude(const verify::Checklist& list) const {
    if (json_) {
      fmt::print("{}\n", verify::to_json(list.results()));
    } else {
      size_t failed = 0;
      int64_t took_us = 0;
      for (const verify::CheckResult& result : list.results()) {
        failed += result.finding.outcome == verify::Outcome::kFail ? 1 : 0;
        took_us += result.took_us;
      }
      fmt::print("{} of {} checks failed, {}\n", failed, list.results().size(), seconds(took_us));
    }
    const int code = list.all_passed() ? 0 : 1;
    if (list.hung()) {
      // Destroying what the check still uses would be worse than leaving it to the system.
      std::fflush(stdout);
      std::_Exit(code);
    }
    return code;
  }

  SettingsFlags flags_;
  std::vector<std::string> suites_;
  std::string until_ = "archive";
  int timeout_s_ = 10;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Subcommand> make_verify() {
  return std::make_unique<Verify>();
}

}  // namespace ca4::cli
