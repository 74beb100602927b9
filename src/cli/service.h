// What `up`, `serve` and `work` share: running the two stages on their ports, and stopping them in
// the right order.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cli/ports.h"
#include "config/settings.h"
#include "http/tokens.h"
#include "ops/metrics.h"
#include "ops/signals.h"
#include "ops/traffic.h"
#include "page/page.h"

namespace ca4::http {
class Server;
class SharedAnswer;
}  // namespace ca4::http
namespace ca4::processor {
class HttpMetrics;
class Processor;
class RequestLog;
}  // namespace ca4::processor
namespace ca4::worker {
class Archiver;
class Worker;
}  // namespace ca4::worker

namespace ca4::cli {

class ImageEmbedder;

// The HTTP side: tokens, processor, page, metrics, server.
class Front {
 public:
  // Everything given must outlive the front. Reads the token file and loads the page's model.
  static Result<std::unique_ptr<Front>> start(const config::Settings& settings, Ports& ports,
                                              const Clock& clock, ops::Metrics& metrics);
  ~Front();

  // "http://127.0.0.1:8000", with the port that was taken.
  std::string url() const;
  // Reads the token file and the certificate again; what is wrong with one is logged and the old
  // one stays.
  void reload();
  // Stops accepting and lets requests in flight finish inside the settings' grace.
  void stop();

 private:
  Front(const config::Settings& settings, Ports& ports, const Clock& clock, ops::Metrics& metrics);
  Status open(ops::Metrics& metrics);
  // Lets the processor give larger versions than those in the log. A log that does not answer is
  // asked again in the background: meanwhile the clock alone makes versions grow.
  Status seed_versions();
  Status seed_once();
  // Until the clock is past what was given before, where that is a matter of seconds.
  void let_clock_catch_up();
  // What stands before everything that holds or takes data: tokens with a scope, or without tokens,
  // where only this machine can connect, a look at where the request comes from.
  page::Guard guard_for(const std::string& listen_host, http::Scope scope) const;
  void add_routes(ops::Metrics& metrics, const std::string& listen_host);
  void add_gauges(ops::Metrics& metrics);
  page::PageParts page_parts();

  const config::Settings& settings_;
  Ports& ports_;
  const Clock& clock_;
  ops::Traffic traffic_;
  std::unique_ptr<ImageEmbedder> embedder_;
  std::unique_ptr<processor::HttpMetrics> http_metrics_;
  http::Tokens tokens_;
  std::unique_ptr<processor::RequestLog> request_log_;
  // Behind those two: its threads may still answer, through them, what the server has cut off.
  std::unique_ptr<processor::Processor> processor_;
  std::unique_ptr<page::Page> page_;
  std::unique_ptr<http::SharedAnswer> scrapes_;
  http::Router router_;
  std::jthread seeding_;
  std::unique_ptr<http::Server> server_;  // last: its threads use all of the above
};

// The worker side: worker and archiver, a thread each.
class Back {
 public:
  // Everything given must outlive the back.
  Back(const config::Settings& settings, Ports& ports, const Clock& clock, ops::Metrics& metrics);
  ~Back();

  // Ends after the batch in hand.
  void stop();

 private:
  std::unique_ptr<worker::Worker> worker_;
  std::unique_ptr<worker::Archiver> archiver_;
  std::vector<std::thread> threads_;
};

// Waits for SIGTERM or SIGINT; SIGHUP calls `reload`. A second SIGTERM or SIGINT ends the process
// at once: all that was answered is durable.
void run_until_stopped(ops::Signals& signals, const std::function<void()>& reload);

// Runs the roles of a subcommand until it is told to stop; returns the exit code. What has not
// stopped half a minute after the grace ends the process with 1.
int run_service(const char* who, const config::Settings& settings, Roles roles);

}  // namespace ca4::cli
