// `ca4 tunnel`: keeps ports of a private network forwarded to this machine.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/subcommand.h"
#include "ops/logging.h"
#include "ops/signals.h"
#include "tunnel/status_file.h"
#include "tunnel/tunnel.h"

namespace ca4::cli {
namespace {

// How soon a link that gave up, or a status that is waited for, is noticed.
constexpr int kLookMs = 100;

Result<tunnel::TunnelOptions> tunnel_options(const config::Tunnel& from) {
  tunnel::TunnelOptions options;
  Result<std::vector<config::Forward>> forwards = config::parse_forwards(from.forwards);
  if (!forwards) return forwards.status();
  options.forwards = std::move(*forwards);
  options.limits.check_interval_ms = from.check_interval_ms;
  options.limits.check_timeout_ms = from.check_timeout_ms;
  options.limits.backoff.max_ms = from.backoff_ms_max;
  options.limits.backoff.min_ms = std::min(options.limits.backoff.min_ms, from.backoff_ms_max);
  // Reaching the bastion, and as long again for logging in.
  options.limits.connect_timeout_ms = 2 * 1000 * from.connect_timeout_s;
  if (from.via == "ssm") {
    if (from.ssm_target.empty()) {
      return Status(
          Code::kConfig,
          "ca4 tunnel: through which instance? Set tunnel.ssm_target (--ssm-target i-...)");
    }
    options.ssm = {
        .target = from.ssm_target, .region = from.ssm_region, .profile = from.ssm_profile};
    return options;
  }
  if (from.bastion.empty()) {
    return Status(Code::kConfig,
                  "ca4 tunnel: through which host? Set tunnel.bastion (--bastion HOST)");
  }
  options.ssh = {.host = from.bastion,
                 .user = from.user,
                 .port = static_cast<uint16_t>(from.port),
                 .key_file = from.key_file,
                 .known_hosts_file = from.known_hosts_file,
                 .host_key_checking = from.host_key_checking,
                 .connect_timeout_s = from.connect_timeout_s,
                 .keepalive_interval_s = from.keepalive_interval_s};
  return options;
}

std::string status_text(const nlohmann::json& status) {
  std::string out;
  const auto& links = status.at("links");
  const auto text = [](const nlohmann::json& object, const char* key) {
    return object.at(key).get<std::string>();
  };
  for (size_t i = 0; i < links.size(); ++i) {
    out += fmt::format("{}: {} since {}, restarted {} times\n", text(links[i], "name"),
                       text(links[i], "state"), text(links[i], "since"),
                       links[i].at("restarts").get<uint64_t>());
    const std::string problem = text(links[i], "problem");
    if (!problem.empty()) out += fmt::format("  {}\n", problem);
    if (!text(links[i], "fix").empty()) out += fmt::format("  {}\n", text(links[i], "fix"));
    for (const auto& forward : status.at("forwards")) {
      if (forward.at("link") != i) continue;
      out += fmt::format("  {:<16} -> {:<20} {:<12} {}\n", text(forward, "local"),
                         text(forward, "target"), text(forward, "state"), text(forward, "detail"));
    }
  }
  return out;
}

class Tunnel final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app,
               {config::Section::kGeneral, config::Section::kTunnel, config::Section::kLogging});
    app.add_flag("--status", status_,
                 "show what the tunnel that runs on this data directory is doing; exit code 0 when "
                 "every forward is healthy");
    app.add_flag("--json", json_, "with --status: as JSON");
    app.add_option("--wait-s", wait_s_,
                   "with --status: how long to wait until every forward is healthy [0]")
        ->type_name("N")
        ->check(whole_number(0, 3600));
  }

  int run() override {
    const Result<config::Settings> settings = flags_.load();
    if (!settings) return report("tunnel", settings.status());
    return status_ ? show(*settings) : keep_up(*settings);
  }

 private:
  int keep_up(const config::Settings& settings) {
    const Status logging = ops::setup_logging(settings.logging.level, settings.logging.format);
    if (!logging.is_ok()) return report("tunnel", logging);
    const Result<tunnel::TunnelOptions> options = tunnel_options(settings.tunnel);
    if (!options) return report("tunnel", options.status());
    // Before any thread starts.
    ops::Signals signals;
    Result<std::unique_ptr<tunnel::StatusFile>> file = tunnel::StatusFile::open(settings.data_dir);
    if (!file) return report("tunnel", file.status());
    const std::string map = tunnel::broker_map(options->forwards);
    // On standard output, for scripts: everything else goes to standard error.
    if (!map.empty()) fmt::print("kafka.broker_map = \"{}\"\n", map);
    std::fflush(stdout);
    const SystemClock clock;
    tunnel::Tunnel tunnel(*options, clock,
                          [&file](const tunnel::View& view) { (*file)->write(view); });
    while (signals.wait_ms(kLookMs) != ops::Signal::kStop) {
      const std::optional<tunnel::Diagnosis> problem = tunnel.gave_up();
      if (!problem) continue;
      tunnel.stop();
      return report("tunnel",
                    {Code::kUnavailable, problem->what + "\nwhat to do: " + problem->fix});
    }
    tunnel.stop();
    spdlog::info("tunnel: stopped");
    return 0;
  }

  int show(const config::Settings& settings) const {
    using namespace std::chrono;
    const auto until = steady_clock::now() + seconds(wait_s_);
    for (;;) {
      const Result<std::string> text = tunnel::read_status(settings.data_dir);
      const auto status = nlohmann::json::parse(text ? *text : "{}", nullptr, false);
      const bool healthy = text && status.value("healthy", false);
      if (!healthy && steady_clock::now() < until) {
        std::this_thread::sleep_for(milliseconds(kLookMs));
        continue;
      }
      if (!text) return report("tunnel", text.status());
      fmt::print("{}", json_ ? *text : status_text(status));
      return healthy ? 0 : exit_code(Code::kUnavailable);
    }
  }

  SettingsFlags flags_;
  bool status_ = false;
  bool json_ = false;
  int wait_s_ = 0;
};

}  // namespace

std::unique_ptr<Subcommand> make_tunnel() {
  return std::make_unique<Tunnel>();
}

}  // namespace ca4::cli
