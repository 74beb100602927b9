// `ca4 log`: look into an embedded event log, also a damaged one.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "cli/log_print.h"
#include "cli/subcommand.h"
#include "event/event.h"
#include "log/headers_codec.h"
#include "log/inspect.h"

namespace ca4::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string damage_of(const log::StoredRecord& record) {
  if (!record.damage.empty()) return record.damage;
  const Result<event::EventView> event = event::decode(record.value);
  return event ? "" : event.status().message();
}

std::string row(const log::StoredRecord& record) {
  const std::string damage = damage_of(record);
  const std::string time = record.damage.empty() ? format_rfc3339(record.appended_at_us) : "-";
  std::string what = "DAMAGED: " + printable(damage);
  if (damage.empty()) {
    const event::EventView event = event::decode(record.value).value();
    what = fmt::format("{} floats, {} bytes of metadata", event.dim, event.meta_json.size());
  }
  return fmt::format("{:>10}  {:<27}  {:>9}  {:<36}  {}\n", record.offset, time,
                     record.value.size(), printable(record.key), what);
}

std::string ndjson(const log::StoredRecord& record) {
  Json line = {{"offset", record.offset}};
  if (record.damage.empty()) {
    line["appended_at"] = format_rfc3339(record.appended_at_us);
    line["key"] = std::string(record.key);
    line["value_bytes"] = record.value.size();
    const Result<log::Headers> headers = log::decode_headers(record.headers);
    if (headers && !headers->empty()) line["headers"] = *headers;
  }
  if (const std::string damage = damage_of(record); !damage.empty()) {
    line["damage"] = damage;
  } else {
    const event::EventView event = event::decode(record.value).value();
    line["version"] = event.version;
    line["event"] = Json::parse(event.meta_json, nullptr, false);
  }
  return json_line(line);
}

class Log final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kGeneral}, {"log.topic"});
    add_format(app, format_, {"table", "ndjson"});
    app.require_subcommand(1);
    head_ = add_command(app, "head", "the oldest records");
    tail_ = add_command(app, "tail", "the newest records, the newest last");
    for (CLI::App* command : {head_, tail_}) {
      command->add_option("-n,--limit", limit_, "how many [10]")
          ->type_name("N")
          ->check(whole_number(1, kLinesMax));
    }
    stats_ =
        add_command(app, "stats", "how much is in it, from when, and how far each group has read");
    check_ = add_command(app, "check", "read everything; exit code 1 when something is damaged");
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("log", settings.status());
    topic_ = settings->log.topic;
    Result<log::LogInspector> log = log::LogInspector::open(log_dir(*settings), topic_);
    if (log.status().code() == Code::kNotFound) {
      const char* const fix = settings->kafka.bootstrap.empty()
                                  ? "; give the data folder and topic that `ca4 up` or `ca4 serve` "
                                    "was started with"
                                  : "; with kafka.bootstrap set events are in Kafka: `ca4 tap` "
                                    "shows them as they come";
      return report("log", {Code::kNotFound, log.status().message() + fix});
    }
    if (!log) return report("log", log.status());
    const auto print = [this](const log::StoredRecord& record) {
      fmt::print("{}", table() ? row(record) : ndjson(record));
      return true;
    };
    if (stats_->parsed()) return report("log stats", stats(*log));
    if (check_->parsed()) return check(*log);
    if (table()) {
      fmt::print("{:>10}  {:<27}  {:>9}  {:<36}  {}\n", "OFFSET", "APPENDED", "BYTES", "KEY",
                 "EVENT");
    }
    if (head_->parsed()) return report("log head", log->head(limit_, print));
    return report("log tail", log->tail(limit_, print));
  }

 private:
  bool table() const { return format_ == "table"; }

  Status stats(log::LogInspector& log) const {
    const Result<log::LogSummary> summary = log.summary();
    if (!summary) return summary.status();
    table() ? print_stats(*summary) : print_stats_json(*summary);
    return Status::ok();
  }

  void print_stats(const log::LogSummary& summary) const {
    fmt::print("topic    {}\n", topic_);
    fmt::print("records  {}, offsets {} to {}\n", summary.end - summary.first, summary.first,
               std::max(summary.end - 1, summary.first));
    fmt::print("oldest   {}\n", time_text(summary.oldest_us));
    fmt::print("newest   {}\n", time_text(summary.newest_us));
    fmt::print("file     {:.1f} MiB\n",
               static_cast<double>(summary.file_bytes) / static_cast<double>(config::kMiB));
    for (const log::GroupLag& group : summary.groups) {
      fmt::print("group    {}: {} behind, {}\n", group.group, group.lag,
                 group.next ? fmt::format("next is {}", *group.next) : "never committed");
    }
  }

  void print_stats_json(const log::LogSummary& summary) const {
    Json groups = Json::array();
    for (const log::GroupLag& group : summary.groups) {
      groups.push_back({{"group", group.group},
                        {"next", group.next ? Json(*group.next) : Json()},
                        {"lag", group.lag}});
    }
    fmt::print("{}", json_line({{"topic", topic_},
                                {"records", summary.end - summary.first},
                                {"first", summary.first},
                                {"end", summary.end},
                                {"oldest", time_json(summary.oldest_us)},
                                {"newest", time_json(summary.newest_us)},
                                {"file_bytes", summary.file_bytes},
                                {"groups", groups}}));
  }

  int check(log::LogInspector& log) const {
    // Dead letters may hold anything: there only the file itself can be wrong.
    const bool events = !topic_.ends_with(".dlq");
    const Result<log::CheckReport> checked = log.check([events](std::string_view value) {
      return events ? event::decode(value).status() : Status::ok();
    });
    if (!checked) return report("log check", checked.status());
    fmt::print("{}", table() ? check_text(*checked,
                                          "The worker dead-letters what it can't read and goes on; "
                                          "`ca4 log head` and `tail` show the rest.")
                             : check_json(*checked));
    return checked->whole() ? 0 : 1;
  }

  SettingsFlags flags_;
  std::string format_ = "table";
  std::string topic_;
  size_t limit_ = 10;
  CLI::App* head_ = nullptr;
  CLI::App* tail_ = nullptr;
  CLI::App* stats_ = nullptr;
  CLI::App* check_ = nullptr;
};

}  // namespace

std::unique_ptr<Subcommand> make_log() {
  return std::make_unique<Log>();
}

}  // namespace ca4::cli
