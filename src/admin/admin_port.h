// The admin port of a process: what probes, scrapers and operators ask it, apart from whatever it
// serves to others.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "http/server.h"
#include "http/token_file.h"

namespace ca4::admin {

struct AdminOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;            // 0: any free one
  std::string token_file = {};  // see http::Tokens; empty: none
  std::string folder = {};      // where the address is left, see AddressFile; empty: nowhere
  std::string name = {};        // of the command, as "work"
  std::string version = {};
};

// A further path that shows data or changes something.
struct GuardedRoute {
  std::string method;
  std::string path;
  http::Scope scope;
  http::Handler handler;
};

// What is answered from. `metrics` and `ready` are called from threads of the port, one call at a
// time each, and may block.
struct AdminAnswers {
  std::function<std::string()> metrics;    // in Prometheus' text format
  std::function<Status()> ready;           // Ok, or what keeps the process from its work
  std::vector<GuardedRoute> guarded = {};  // behind the same guard as /log-level
};

// GET /livez, /readyz, /health and /metrics are open to whoever reaches the port: they hold no data
// and no secrets. What shows data needs a token with the scope read, what changes the process (PUT
// /log-level) one with the scope admin; without a token file only a port on a loopback address
// answers either, and no page of another site gets through. Every answer has an X-Request-Id.
class AdminPort {
 public:
  // Reads the token file and listens. kConfig for a bad token file, kIo when the address is taken.
  // An address file that can't be written is logged and otherwise does no harm.
  static Result<std::unique_ptr<AdminPort>> start(const AdminOptions& options,
                                                  AdminAnswers answers);
  // Ends after the answers in hand.
  virtual ~AdminPort() = default;

  // "http://127.0.0.1:40123"
  virtual std::string url() const = 0;
  // Reads the token file again; what is wrong with it is logged and the old tokens stay.
  virtual void reload() = 0;
};

}  // namespace ca4::admin
