#include "cli/spool_ports.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "base/log_limiter.h"
#include "cli/data_layout.h"
#include "event/event.h"
#include "log/spooled_log.h"
#include "ops/metrics.h"
#include "worker/dead_letters.h"

namespace ca4::cli {
namespace {

constexpr std::string_view kSqliteMagic("SQLite format 3\0", 16);

log::EmbeddedLogOptions outbox_options(const config::Settings& settings) {
  log::EmbeddedLogOptions options;
  options.file = outbox_file(settings);
  options.topic = settings.log.topic;
  options.groups = {log::kForwarderGroup};
  options.bytes_max = settings.kafka.outbox_bytes_max;
  options.queue_bytes_max = static_cast<size_t>(settings.log.queue_bytes_max);
  // What Kafka has acknowledged goes with the next look at it, whatever its age.
  options.retention_bytes = 1;
  options.retention_age_s = 0;
  options.full_advice =
      "it is emptied by itself once Kafka is back; raise kafka.outbox_bytes_max to take more until "
      "then";
  return options;
}

// Keeps the letters of one process; makes their log with the first, as most never have one.
class Letters {
 public:
  explicit Letters(const Site& site) : site_(site) {}

  Status keep(const log::Record& refused, const Status& why) {
    if (!log_) {
      Result<std::unique_ptr<log::EventLog>> opened = open_outbox_letters(site_, true);
      if (!opened) return opened.status();
      log_ = std::move(*opened);
    }
    const std::optional<size_t> kept_back = limiter_.allow("", std::chrono::steady_clock::now());
    if (kept_back) {
      spdlog::error("an event of the outbox never gets to Kafka, see `ca4 dlq list --outbox`: {}{}",
                    why.message(), and_like_it(*kept_back));
    }
    return log::append_and_wait(
               *log_, {worker::make_dead_letter(refused, site_.settings.log.topic + ".outbox",
                                                {"forward", why.message()}, site_.clock.now_us())})
        .status();
  }

 private:
  const Site site_;
  LogLimiter limiter_;  // of what may be refused there is an outbox full
  std::unique_ptr<log::EventLog> log_;
};

void tell_change(const std::string& file, const log::OutboxStatus& status) {
  if (status.state == log::OutboxState::kDirect) {
    return spdlog::info("the outbox is empty, events go to Kafka directly again; {} were forwarded",
                        status.forwarded);
  }
  if (status.last_error.empty()) {
    return spdlog::info("{} events in the outbox {} go to Kafka first", status.waiting_records,
                        file);
  }
  spdlog::warn("events wait in the outbox {} until Kafka takes them: {}", file, status.last_error);
}

double age_s(const Clock& clock, const log::OutboxStatus& status) {
  constexpr double kUsPerS = 1e6;
  if (!status.oldest_us) return 0;
  return std::max(0.0, static_cast<double>(clock.now_us() - *status.oldest_us) / kUsPerS);
}

void add_metrics(const log::EventLog& log, const Clock& clock, ops::Metrics& metrics) {
  const auto gauge = [&](const char* name, auto value) {
    metrics.gauge(name, [&log, value] { return static_cast<double>(value(*log.outbox())); });
  };
  const auto counter = [&](const char* name, auto value) {
    metrics.counter(name, [&log, value] { return static_cast<double>(value(*log.outbox())); });
  };
  using Status = log::OutboxStatus;
  gauge("ca4_outbox_records", [](const Status& s) { return s.waiting_records; });
  gauge("ca4_outbox_bytes", [](const Status& s) { return s.bytes_used; });
  gauge("ca4_outbox_max_bytes", [](const Status& s) { return s.bytes_max; });
  gauge("ca4_outbox_age_seconds", [&clock](const Status& s) { return age_s(clock, s); });
  counter("ca4_outbox_spooled_total", [](const Status& s) { return s.spooled; });
  counter("ca4_outbox_given_up_total", [](const Status& s) { return s.given_up; });
  counter("ca4_outbox_forwarded_total", [](const Status& s) { return s.forwarded; });
  counter("ca4_outbox_refused_total", [](const Status& s) { return s.refused; });
  counter("ca4_outbox_turns_total", [](const Status& s) { return s.turns; });
  using enum log::OutboxState;
  for (const log::OutboxState state : {kDirect, kTurning, kSpooling, kReturning}) {
    metrics.gauge("ca4_outbox_state",
                  [&log, state] { return log.outbox()->state == state ? 1.0 : 0.0; },
                  {{"state", std::string(name_of(state))}});
  }
}

}  // namespace

Status check_outbox_file(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return {Code::kConfig, fmt::format("kafka.outbox_file: {} is a directory", path)};
  }
  std::ifstream in(path, std::ios::binary);
  if (!in) return Status::ok();  // none yet; what can't be read fails where it is opened
  std::string head(kSqliteMagic.size(), '\0');
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  head.resize(static_cast<size_t>(in.gcount()));
  if (head.empty() || head == kSqliteMagic) return Status::ok();
  // A row of the CSV outbox begins with a Unix time.
  const char first = head[head[0] == '"' && head.size() > 1 ? 1 : 0];
  const bool csv = first >= '0' && first <= '9';
  return {
      Code::kConfig,
      fmt::format("kafka.outbox_file (KAFKA_OUTBOX_FILE): {} is {}, not an outbox of this "
                  "program; it is left as it is.\nName another file. The events of a CSV outbox "
                  "are brought into that with `ca4 spool import {}` while no processor runs.",
                  path, csv ? "the CSV outbox of an older processor" : "something else", path)};
}

Result<std::unique_ptr<log::EmbeddedLog>> open_outbox(const Site& site) {
  if (const Status ours = check_outbox_file(outbox_file(site.settings)); !ours.is_ok()) return ours;
  return log::EmbeddedLog::open(outbox_options(site.settings), site.clock);
}

Result<std::unique_ptr<log::EventLog>> open_outbox_letters(const Site& site, bool writes) {
  log::EmbeddedLogOptions options;
  options.file = outbox_letters_file(site.settings);
  options.topic = dead_letter_topic(site.settings);
  std::error_code error;
  if (!writes && !std::filesystem::exists(options.file, error)) {
    return Status(Code::kNotFound,
                  fmt::format("no dead letters of the outbox: there is no {}", options.file));
  }
  options.mode =
      writes ? log::EmbeddedLogOptions::Mode::kWriter : log::EmbeddedLogOptions::Mode::kReader;
  options.groups = {worker::kReplayGroup};
  options.bytes_max = site.settings.log.bytes_max;
  options.retention_age_s = 0;
  options.retention_when_full = false;
  auto opened = log::EmbeddedLog::open(options, site.clock);
  if (!opened) return opened.status();
  return std::unique_ptr<log::EventLog>(std::move(*opened));
}

Result<std::unique_ptr<log::EventLog>> spooled(const Site& site,
                                               std::unique_ptr<log::EventLog> target) {
  if (!site.settings.kafka.outbox) return target;
  Result<std::unique_ptr<log::EmbeddedLog>> spool = open_outbox(site);
  if (!spool) return spool.status();
  log::SpooledLogOptions options;
  options.queue_bytes_max = static_cast<size_t>(site.settings.log.queue_bytes_max);
  options.age_s_max = site.settings.kafka.outbox_age_s_max;
  options.check_whole = [](const log::Record& record) {
    return event::decode(record.value).status();
  };
  options.changed = [file = outbox_file(site.settings)](const log::OutboxStatus& status) {
    tell_change(file, status);
  };
  const auto letters = std::make_shared<Letters>(site);
  auto opened = log::SpooledLog::open(
      std::move(*spool), std::move(target),
      [letters](const log::Record& refused, const Status& why) {
        return letters->keep(refused, why);
      },
      std::move(options), site.clock);
  if (!opened) return opened.status();
  if (site.metrics != nullptr) add_metrics(**opened, site.clock, *site.metrics);
  return std::unique_ptr<log::EventLog>(std::move(*opened));
}

}  // namespace ca4::cli
