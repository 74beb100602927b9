// A public URL for a server on this machine, by an agent that the user has installed: ngrok, or
// Cloudflare's cloudflared.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "base/status.h"

namespace ca4::door {

enum class Kind { kNgrok, kCloudflared };

struct DoorOptions {
  Kind kind = Kind::kNgrok;
  std::string command;    // the agent's path; empty: its name, looked up in PATH
  std::string domain;     // ngrok's name that stays the same ("name.ngrok-free.app"); empty: any
  std::string local_url;  // "http://127.0.0.1:8000"
  // Between two starts of an agent that ends; doubles from one second. An agent without network
  // must not be started a thousand times, one whose network is back must be there soon.
  int64_t backoff_ms_max = 30'000;
};

// Called from the tunnel's thread.
struct DoorEvents {
  std::function<void(const std::string& url)> opened;   // also when the URL has changed
  std::function<void(const std::string& why)> trouble;  // the agent complains or has ended
};

class Door {
 public:
  // Starts the agent, watches it in a thread and starts it again whenever it ends. kNotFound, with
  // where to get it, when it is not installed.
  static Result<std::unique_ptr<Door>> start(const DoorOptions& options, DoorEvents events);
  // Ends the agent.
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

 private:
  Door(DoorOptions options, DoorEvents events);
  void watch(const std::stop_token& stop);
  // Until the agent ends. True when it had opened a tunnel.
  bool run_once(const std::stop_token& stop);

  const DoorOptions options_;
  const DoorEvents events_;
  std::string url_;  // the last that was told
  std::jthread thread_;
};

// What the agent is started with.
std::vector<std::string> agent_command(const DoorOptions& options);

// Is there such a program? Ok, or kNotFound with where to get it.
Status check_agent(const DoorOptions& options);

}  // namespace ca4::door
