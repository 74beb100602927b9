#include "cli/service.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "cli/admin.h"
#include "cli/common.h"
#include "cli/data_layout.h"
#include "cli/door.h"
#include "cli/left_behind.h"
#include "door/door.h"
#include "ops/logging.h"
#include "tap/tap_service.h"
#include "worker/archiver.h"
#include "worker/metrics.h"
#include "worker/worker.h"

namespace ca4::cli {
namespace {

// For a process without the worker, which else measures it. What is not known shows as no number
// rather than as the last one.
void add_lag_gauges(const config::Settings& settings, log::EventLog& events,
                    ops::Metrics& metrics) {
  for (const std::string& group : reading_groups(settings)) {
    const auto gauges = std::make_shared<worker::LagGauges>(metrics.registry(), group);
    metrics.before_scrape([&events, group, gauges] { gauges->set(events.lag(group)); });
  }
}

// What keeps the process from its work. Log and database are asked, not what was heard of them
// last: an idle worker has heard nothing.
Status readiness(const Ports& ports, Roles roles) {
  if (roles.accepts) {
    if (Status bad = ports.events->ready(); !bad.is_ok()) return bad;
  }
  if (!roles.works) return Status::ok();
  if (!roles.accepts) {
    const Status lag = ports.events->lag(worker::kWorkerGroup).status();
    if (!lag.is_ok()) return {lag.code(), "event log: " + lag.message()};
  }
  if (Status bad = ports.store->ping(); !bad.is_ok()) {
    return {bad.code(), "document store: " + bad.message()};
  }
  return Status::ok();
}

// Nothing else would show it: each of the group's members has a part of the partitions.
void tell_of_own_store(const config::Settings& settings, bool accepts) {
  if (settings.kafka.bootstrap.empty() || !settings.store.mongo_uri.empty()) return;
  spdlog::warn(
      "events of {} are stored on this machine, in {}, as store.mongo_uri (MONGO_URI) is not set; "
      "a database that workers elsewhere write into lacks what comes here: where there is one, {}",
      settings.log.topic, store_dir(settings),
      accepts ? "run `ca4 serve` in place of `ca4 up`" : "set it here, too");
}

// An end takes some seconds; a store or a bucket that is slow takes longer for the batch in hand,
// and a library that hangs would keep the process for ever. Whoever sent the signal would kill it
// without a word: systemd and Kubernetes (deploy/) wait 45 to 60 s.
constexpr std::chrono::seconds kEndMax{30};
// When all is closed, what still waits (a search of the page for a slow database, librdkafka for
// its threads) changes nothing any more.
constexpr std::chrono::seconds kLeaveMax{5};

// Ends the process if it is still there then.
void end_after(std::chrono::milliseconds limit, int code, spdlog::level::level_enum level,
               std::string why) {
  std::thread([limit, code, level, why = std::move(why)] {
    std::this_thread::sleep_for(limit);
    spdlog::log(level, "{}", why);
    spdlog::default_logger_raw()->flush();
    std::_Exit(code);
  }).detach();
}

int serve_until_stopped(const char* who, const config::Settings& settings, Roles roles) {
  ops::Signals signals;
  const SystemClock clock;
  ops::Metrics metrics(CA4_VERSION, who);
  Result<Ports> ports = open_ports({settings, clock, &metrics}, roles);
  if (!ports) return report(who, ports.status());
  if (!roles.works) add_lag_gauges(settings, *ports->events, metrics);
  std::unique_ptr<Front> front;
  if (roles.accepts) {
    Result<std::unique_ptr<Front>> started = Front::start(settings, *ports, clock, metrics);
    if (!started) return report(who, started.status());
    front = std::move(*started);
  }
  std::unique_ptr<Back> back;
  if (roles.works) back = std::make_unique<Back>(settings, *ports, clock, metrics);
  auto taps = std::make_unique<tap::TapService>(*ports->events);
  Result<std::unique_ptr<admin::AdminPort>> admin =
      open_admin(settings, who,
                 {.metrics = [&metrics] { return metrics.text(); },
                  .ready = [&] { return readiness(*ports, roles); },
                  .guarded = {{"GET", "/tap", http::Scope::kRead, taps->handler()}}},
                 admin_dir(settings));
  if (!admin) return report(who, admin.status());
  // On standard output, for scripts: everything else goes to standard error.
  if (front) fmt::print("listening on {}\n", front->url());
  std::fflush(stdout);
  Result<std::unique_ptr<door::Door>> tunnel = std::unique_ptr<door::Door>();
  if (front) tunnel = open_door(settings, front->url());
  if (!tunnel) return report(who, tunnel.status());
  spdlog::info("{} runs on {}", who, settings.data_dir);
  run_until_stopped(signals, [&] {
    if (front) front->reload();
    if (*admin) (*admin)->reload();
  });
  const std::chrono::milliseconds grace(roles.accepts ? settings.processor.shutdown_grace_ms : 0);
  end_after(
      grace + kEndMax, EXIT_FAILURE, spdlog::level::err,
      fmt::format("{} did not stop within {} s and ends now: what was answered is durable, "
                  "and what was not committed is read again",
                  who, std::chrono::duration_cast<std::chrono::seconds>(grace + kEndMax).count()));
  tunnel->reset();
  // First the door, then the disk: what was let in is finished.
  if (front) front->stop();
  if (back) back->stop();
  admin->reset();
  taps.reset();
  ports->events->close();
  ports->dead_letters->close();
  spdlog::info("{} stopped", who);
  end_after(kLeaveMax, EXIT_SUCCESS, spdlog::level::info,
            fmt::format("{} leaves what still waits for a database or brokers", who));
  return 0;
}

}  // namespace

Back::Back(const config::Settings& settings, Ports& ports, const Clock& clock,
           ops::Metrics& metrics) {
  const BackoffLimits backoff{.max_ms = settings.worker.backoff_ms_max};
  worker::WorkerOptions options;
  options.batch_records_max = static_cast<size_t>(settings.worker.batch_records_max);
  options.batch_bytes_max = static_cast<size_t>(settings.worker.batch_bytes_max);
  options.backoff = backoff;
  worker_ = std::make_unique<worker::Worker>(*ports.events, *ports.store, *ports.dead_letters,
                                             clock, metrics.registry(), options);
  threads_.emplace_back([this] { worker_->run(); });
  if (!ports.archive) return;
  worker::ArchiverOptions archiver;
  archiver.records_max = static_cast<size_t>(settings.archive.records_max);
  archiver.linger_ms = settings.archive.linger_ms;
  archiver.backoff = backoff;
  archiver_ = std::make_unique<worker::Archiver>(*ports.events, *ports.archive, clock,
                                                 metrics.registry(), archiver);
  threads_.emplace_back([this] { archiver_->run(); });
}

Back::~Back() {
  stop();
}

void Back::stop() {
  worker_->stop();
  if (archiver_) archiver_->stop();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void run_until_stopped(ops::Signals& signals, const std::function<void()>& reload) {
  while (signals.wait() == ops::Signal::kReload) reload();
  signals.let_end();
}

int run_service(const char* who, const config::Settings& settings, Roles roles) {
  const Status logging = ops::setup_logging(settings.logging.level, settings.logging.format);
  if (!logging.is_ok()) return report(who, logging);
  if (roles.accepts) {
    for (const std::string& line : left_behind(settings)) spdlog::warn("{}", line);
  }
  if (roles.works) tell_of_own_store(settings, roles.accepts);
  return serve_until_stopped(who, settings, roles);
}

}  // namespace ca4::cli
