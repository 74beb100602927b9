#include "door/door.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <sstream>

#include "door/agent_output.h"
#include "door/child_process.h"
#include "http/fetch.h"

namespace ca4::door {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int64_t kBackoffMsFirst = 1000;
// An agent's line, or a second look at ngrok's API, whichever comes first.
constexpr int kPollMs = 250;
constexpr int64_t kApiTimeoutMs = 2000;  // it is on this machine
// A URL that changes (a plan without a fixed name, after a reconnect) is told within this.
constexpr auto kLookAgain = std::chrono::seconds(5);

struct Agent {
  const char* name;
  const char* remedy;
};

constexpr Agent kAgents[] = {
    {"ngrok",
     "install it from https://ngrok.com/download and give it your account once with `ngrok config "
     "add-authtoken TOKEN`"},
    {"cloudflared",
     "install it from "
     "https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/"}};

const Agent& agent_of(const DoorOptions& options) {
  return kAgents[static_cast<size_t>(options.kind)];
}

std::string program(const DoorOptions& options) {
  return options.command.empty() ? agent_of(options).name : options.command;
}

bool is_program(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && access(path.c_str(), X_OK) == 0;
}

// Empty when there is no answer.
std::string get(const std::string& url) {
  http::FetchOutcome outcome = http::fetch({.url = url, .timeout_ms = kApiTimeoutMs});
  return outcome.answer ? std::move(outcome.answer->body) : std::string();
}

}  // namespace

std::vector<std::string> agent_command(const DoorOptions& options) {
  if (options.kind == Kind::kCloudflared) {
    return {program(options), "tunnel", "--no-autoupdate", "--url", options.local_url};
  }
  std::vector<std::string> out = {program(options), "http", options.local_url, "--log", "stdout",
                                  "--log-format",   "json"};
  if (!options.domain.empty()) out.insert(out.end(), {"--url", options.domain});
  return out;
}

Status check_agent(const DoorOptions& options) {
  const std::string name = program(options);
  if (name.find('/') != std::string::npos) {
    if (is_program(name)) return Status::ok();
    return {Code::kNotFound, fmt::format("{} is no program", name)};
  }
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing sets it
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (is_program(std::filesystem::path(folder) / name)) return Status::ok();
  }
  return {Code::kNotFound,
          fmt::format("the tunnel's agent {} is not in PATH: {}; or name it with --tunnel-command",
                      name, agent_of(options).remedy)};
}

Result<std::unique_ptr<Door>> Door::start(const DoorOptions& options, DoorEvents events) {
  if (Status missing = check_agent(options); !missing.is_ok()) return missing;
  return std::unique_ptr<Door>(new Door(options, std::move(events)));
}

Door::Door(DoorOptions options, DoorEvents events)
    : options_(std::move(options)),
      events_(std::move(events)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

Door::~Door() {
  thread_.request_stop();
}

void Door::watch(const std::stop_token& stop) {
  std::mutex unused;
  std::condition_variable_any wake;
  std::unique_lock lock(unused);
  int64_t pause_ms = kBackoffMsFirst;
  while (!stop.stop_requested()) {
    if (run_once(stop)) pause_ms = kBackoffMsFirst;
    if (stop.stop_requested()) return;
    events_.trouble(fmt::format("{} is started again in {} s", program(options_), pause_ms / 1000));
    wake.wait_for(lock, stop, std::chrono::milliseconds(pause_ms), [] { return false; });
    pause_ms = std::min(pause_ms * 2, options_.backoff_ms_max);
  }
}

bool Door::run_once(const std::stop_token& stop) {
  Result<std::unique_ptr<ChildProcess>> agent = ChildProcess::start(agent_command(options_));
  if (!agent) {
    events_.trouble(agent.status().message());
    return false;
  }
  bool opened = false;
  std::string api;
  Steady::time_point look_at;
  const auto found = [&](const std::string& url) {
    if (!opened || url != url_) events_.opened(url);
    opened = true;
    url_ = url;
    look_at = Steady::now() + kLookAgain;
  };
  while (!stop.stop_requested()) {
    const std::optional<std::string> line = (*agent)->read_line(kPollMs);
    if (!line) break;
    if (const auto why = complaint(*line)) {
      events_.trouble(fmt::format("{}: {}", program(options_), *why));
    }
    if (options_.kind == Kind::kCloudflared) {
      if (const auto url = cloudflared_public_url(*line)) found(*url);
      continue;
    }
    if (const auto address = ngrok_api_address(*line)) api = *address;
    if (api.empty() || Steady::now() < look_at) continue;
    if (const auto url = ngrok_public_url(get("http://" + api + "/api/tunnels"))) found(*url);
  }
  if (stop.stop_requested()) return opened;
  events_.trouble(fmt::format("{} has ended with {}", program(options_), (*agent)->wait()));
  return opened;
}

}  // namespace ca4::door
