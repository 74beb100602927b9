// A subcommand of `ca4`: declares its flags, then runs. The table of all of them is in main.cc.
#pragma once

#include <memory>

namespace CLI {
class App;
}

namespace ca4::cli {

class Subcommand {
 public:
  virtual ~Subcommand() = default;
  // Declares flags and positional arguments, with their help texts. Also called to write shell
  // completions.
  virtual void define(CLI::App& app) = 0;
  // Does the work after the flags are parsed; returns the exit code (0 ok, 1 failed, 2 usage, 78
  // configuration).
  virtual int run() = 0;
};

using Factory = std::unique_ptr<Subcommand> (*)();

struct Entry {
  const char* name;
  const char* summary;
  Factory make;
};

// In src/cli/<name>.cc; up, serve and work in services.cc.
std::unique_ptr<Subcommand> make_up();
std::unique_ptr<Subcommand> make_serve();
std::unique_ptr<Subcommand> make_work();
std::unique_ptr<Subcommand> make_produce();          // without an admin port
std::unique_ptr<Subcommand> make_watched_produce();  // with one; in produce_watched.cc
std::unique_ptr<Subcommand> make_query();
std::unique_ptr<Subcommand> make_log();
std::unique_ptr<Subcommand> make_dlq();
std::unique_ptr<Subcommand> make_replay();
std::unique_ptr<Subcommand> make_tunnel();
std::unique_ptr<Subcommand> make_verify();
std::unique_ptr<Subcommand> make_db();
std::unique_ptr<Subcommand> make_topics();
std::unique_ptr<Subcommand> make_spool();
std::unique_ptr<Subcommand> make_tap();
std::unique_ptr<Subcommand> make_token();
std::unique_ptr<Subcommand> make_top();
std::unique_ptr<Subcommand> make_metrics();
std::unique_ptr<Subcommand> make_config();
std::unique_ptr<Subcommand> make_completion();

}  // namespace ca4::cli
