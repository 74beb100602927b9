// `ca4 tap`: events as they pass.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <system_error>

#include "base/clock.h"
#include "base/printable.h"
#include "cli/admin.h"
#include "cli/common.h"
#include "cli/ports.h"
#include "cli/subcommand.h"
#include "http/fetch.h"
#include "http/parameters.h"
#include "ops/signals.h"
#include "tap/tap.h"

namespace ca4::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::steady_clock;

constexpr int kWaitMs = 500;
constexpr int kAgainMs = 1'000;
// A tap's answer has a few MiB and one line more.
constexpr size_t kAnswerBytesMax = 16U << 20;

// Where lines come from.
class Source {
 public:
  virtual ~Source() = default;
  // Soon, maybe empty. kUnavailable: ask again; another failure is for good.
  virtual Result<tap::TapLines> next() = 0;
};

// The event log itself.
class LogSource final : public Source {
 public:
  static Result<std::unique_ptr<Source>> open(const config::Settings& settings,
                                              const tap::TapFilter& filter) {
    auto source = std::make_unique<LogSource>();
    Result<std::unique_ptr<log::EventLog>> log = open_events({settings, source->clock_}, Roles{});
    if (!log) return log.status();
    source->log_ = std::move(*log);
    Result<std::unique_ptr<tap::Tap>> tap = tap::Tap::open(*source->log_, filter);
    if (!tap) return tap.status();
    source->tap_ = std::move(*tap);
    return std::unique_ptr<Source>(std::move(source));
  }

  Result<tap::TapLines> next() override { return tap_->next(kWaitMs); }

 private:
  const SystemClock clock_;
  std::unique_ptr<log::EventLog> log_;
  std::unique_ptr<tap::Tap> tap_;
};

// What is wrong, of a problem that is answered.
std::string detail_of(const std::string& body) {
  const Json problem = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  const bool told = problem.is_object() && problem.contains("detail");
  return printable(told && problem["detail"].is_string() ? problem["detail"].get<std::string>()
                                                         : body);
}

// The admin port of a process elsewhere.
class PortSource final : public Source {
 public:
  PortSource(std::string address, const std::string& token, const tap::TapFilter& filter)
      : url_(admin_url(std::move(address)) + "/tap?") {
    if (!token.empty()) headers_.emplace_back("Authorization", "Bearer " + token);
    filter_ =
        fmt::format("rate={}&full={}&id={}&pipeline={}&model={}", filter.per_second_max,
                    filter.full ? 1 : 0, http::percent_encode(filter.id),
                    http::percent_encode(filter.pipeline), http::percent_encode(filter.model));
  }

  Result<tap::TapLines> next() override {
    const http::FetchOutcome outcome =
        http::fetch({.url = url_ + (session_.empty() ? filter_ : "session=" + session_),
                     .headers = headers_,
                     .answer_bytes_max = kAnswerBytesMax});
    if (!outcome.answer) return Status(Code::kUnavailable, outcome.message);
    const http::Fetched& answer = *outcome.answer;
    if (answer.status == 200) return read(answer.body);
    if (answer.status == 404 && !std::exchange(session_, "").empty()) {
      return Status(Code::kUnavailable,
                    "the session there ended, as it does when the process begins anew or this one "
                    "stood still; what passes until the next is not shown");
    }
    const bool later = answer.status >= 500;
    const std::string hint = answer.status == 401 ? "; give --token-file"
                             : answer.status == 404
                                 ? "; is that the admin port of serve, work or up?"
                                 : "";
    return Status(later ? Code::kUnavailable : Code::kInvalidArgument,
                  fmt::format("it answers {}{}: {}", answer.status, hint, detail_of(answer.body)));
  }

 private:
  Result<tap::TapLines> read(const std::string& body) {
    const size_t end = body.size() < 2 ? std::string::npos : body.rfind('\n', body.size() - 2);
    const size_t last = end == std::string::npos ? 0 : end + 1;
    const Json about = Json::parse(body.substr(last), nullptr, /*allow_exceptions=*/false);
    if (!about.is_object() || !about.contains("tap") || !about["tap"].is_object()) {
      return Status(Code::kInvalidArgument, "that is no answer of a tap");
    }
    tap::TapLines lines;
    session_ = about["tap"].value("session", "");
    lines.left_out = about["tap"].value("left_out", size_t{0});
    lines.text = body.substr(0, last);
    return lines;
  }

  std::string url_;
  std::string filter_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::string session_;
};

std::string row(const std::string& line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("embedding") || !json.contains("event")) return line;
  const Json& event = json["event"];
  const Json& embedding = json["embedding"];
  const auto text = [](const Json& of, const char* member) {
    const auto found = of.find(member);
    return found != of.end() && found->is_string() ? printable(found->get<std::string>()) : "-";
  };
  const Json extra = event.value("extra", Json::object());
  std::string out =
      fmt::format("{}  {:<36}  {:<12}  {:>5}  {:>9.4g}  {}", text(json, "time"),
                  text(json, "metadata_id"), text(extra, "pipeline"), embedding.value("dim", 0),
                  embedding.value("norm", 0.0), text(event, "source_uri"));
  if (embedding.contains("numbers")) out += "\n  " + embedding["numbers"].dump();
  return out;
}

class TapCommand final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {config::Section::kGeneral, config::Section::kKafka}, {"log.topic"});
    app.add_option("ADDRESS", address_,
                   "admin port of a process elsewhere, HOST:PORT or a URL [the event log itself]")
        ->check(admin_address());
    app.add_option("--token-file", token_file_, "file whose first line is a token of that port")
        ->type_name("FILE");
    app.add_option("--id", filter_.id, "only this id; with * at its end: those that begin so")
        ->type_name("ID");
    app.add_option("--pipeline", filter_.pipeline, "only of this pipeline")->type_name("NAME");
    app.add_option("--model", filter_.model, "only of this model")->type_name("NAME");
    app.add_option(
           "--rate", filter_.per_second_max,
           fmt::format("at most so many a second; others are counted [{}]", tap::kPerSecondDefault))
        ->type_name("N")
        ->check(whole_number(1, tap::kPerSecondMax));
    app.add_flag("--full", filter_.full, "with the embedding's numbers, not its norm alone");
    app.add_option("-n,--limit", limit_, "end after so many [never]")
        ->type_name("N")
        ->check(whole_number(1, kLinesMax));
    add_format(app, format_, {"table", "ndjson"});
  }

  int run() override {
    ops::Signals signals;  // before any thread
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("tap", settings.status());
    Result<std::unique_ptr<Source>> source = open(*settings);
    if (!source) return report("tap", source.status());
    if (format_ == "table") {
      fmt::print("{:<27}  {:<36}  {:<12}  {:>5}  {:>9}  {}\n", "TIME", "ID", "PIPELINE", "DIM",
                 "NORM", "SOURCE");
    }
    std::fflush(stdout);
    return watch(**source, signals);
  }

 private:
  Result<std::unique_ptr<Source>> open(const config::Settings& settings) const {
    if (address_.empty()) return LogSource::open(settings, filter_);
    const Result<std::string> token = read_token(token_file_);
    if (!token) return token.status();
    return std::unique_ptr<Source>(std::make_unique<PortSource>(address_, *token, filter_));
  }

  int watch(Source& source, ops::Signals& signals) {
    int pause_ms = 0;
    while (true) {
      const std::optional<ops::Signal> signal = signals.wait_ms(pause_ms);
      if (signal == ops::Signal::kStop) break;
      const Result<tap::TapLines> lines = source.next();
      pause_ms = lines ? 0 : kAgainMs;
      if (!lines && lines.status().code() != Code::kUnavailable) {
        return report("tap", lines.status());
      }
      note(lines.status());
      if (!lines) continue;
      left_out_ += lines->left_out;
      if (!print(lines->text)) break;
      tell_left_out();
      if (enough()) break;
    }
    told_at_ = {};
    tell_left_out();
    return 0;
  }

  // Says once that nobody answers, and once that somebody does again.
  void note(const Status& status) {
    if (status.is_ok() == away_.is_ok()) return;
    away_ = status;
    fmt::print(stderr, "ca4 tap: {}\n",
               status.is_ok() ? "there again" : status.message() + "; trying again");
  }

  bool enough() const { return limit_ > 0 && shown_ >= limit_; }

  // False: nobody reads any more.
  bool print(std::string_view text) {
    while (!text.empty() && !enough()) {
      const size_t end = text.find('\n');
      const std::string line(text.substr(0, end));
      const std::string out = (format_ == "table" ? row(line) : line) + "\n";
      std::fwrite(out.data(), 1, out.size(), stdout);
      text.remove_prefix(end + 1);
      ++shown_;
    }
    if (std::fflush(stdout) == 0) return true;
    if (errno == EPIPE) std::clearerr(stdout);
    return false;
  }

  // Once a second at most: it is no line of its own that people came for.
  void tell_left_out() {
    const auto now = steady_clock::now();
    if (left_out_ == 0 || now - told_at_ < std::chrono::seconds(1)) return;
    fmt::print(stderr, "ca4 tap: {} more passed, over --rate {}\n", std::exchange(left_out_, 0),
               filter_.per_second_max);
    told_at_ = now;
  }

  SettingsFlags flags_;
  std::string address_;
  std::string token_file_;
  tap::TapFilter filter_;
  size_t limit_ = 0;  // 0: none
  std::string format_ = "table";
  size_t shown_ = 0;
  size_t left_out_ = 0;
  steady_clock::time_point told_at_;
  Status away_;
};

}  // namespace

std::unique_ptr<Subcommand> make_tap() {
  return std::make_unique<TapCommand>();
}

}  // namespace ca4::cli
