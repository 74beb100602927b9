#include "door/door.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "base/child_process.h"
#include "door/agent_output.h"
#include "http/fetch.h"

namespace ca4::door {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int64_t kBackoffMsFirst = 1000;
// An agent's line, or a second look at ngrok's API, whichever comes first.
constexpr int kPollMs = 250;
constexpr size_t kLineBytesMax = 16 * 1024;  // what is longer is cut there
constexpr int kTermGraceMs = 5'000;          // for an agent to take leave of its service
constexpr int64_t kApiTimeoutMs = 2000;      // it is on this machine
// A URL that changes (a plan without a fixed name, after a reconnect) is told within this.
constexpr auto kLookAgain = std::chrono::seconds(5);

// What an agent says, a line at a time.
class Lines {
 public:
  explicit Lines(ChildProcess& agent) : agent_(agent) {}

  // Empty when none came within kPollMs; none once the agent has ended and all lines were read.
  std::optional<std::string> next() {
    while (true) {
      const size_t end = pending_.find('\n');
      if (end != std::string::npos || pending_.size() >= kLineBytesMax) {
        std::string line = pending_.substr(0, std::min(end, kLineBytesMax));
        pending_.erase(0, line.size() + (end == line.size() ? 1 : 0));
        return line;
      }
      std::string more = agent_.news(kPollMs);
      const bool ended = more.empty() && agent_.ended();
      if (ended) more = agent_.news();  // its last words
      if (more.empty() && ended && !pending_.empty()) return std::exchange(pending_, {});
      if (more.empty()) return ended ? std::nullopt : std::optional<std::string>("");
      pending_ += more;
    }
  }

 private:
  ChildProcess& agent_;
  std::string pending_;
};

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
  if (!find_program(name).empty()) return Status::ok();
  if (name.find('/') != std::string::npos) {
    return {Code::kNotFound, fmt::format("{} is no program", name)};
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
  Lines lines(**agent);
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
    const std::optional<std::string> line = lines.next();
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
  if (stop.stop_requested()) {
    (*agent)->stop(kTermGraceMs);
    return opened;
  }
  events_.trouble(fmt::format("{} has ended with {}", program(options_), *(*agent)->ended()));
  return opened;
}

}  // namespace ca4::door
