// The HTTP side of `up` and `serve`.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "archive/archive.h"
#include "base/host_port.h"
#include "cli/data_layout.h"
#include "cli/door.h"
#include "cli/image_embedder.h"
#include "cli/service.h"
#include "config/address.h"
#include "http/local_guard.h"
#include "http/problem.h"
#include "http/server.h"
#include "http/shared_answer.h"
#include "processor/http_metrics.h"
#include "processor/processor.h"
#include "processor/request_log.h"

namespace ca4::cli {
namespace {

constexpr auto kSeedAgain = std::chrono::seconds(1);
// Above what a mark may be ahead, and above the margin where there is none. A clock that is further
// behind was set back, and who knows by how much.
constexpr int64_t kCatchUpUsMax = 3'000'000;

// For all but the clients' connections: logs, stores, brokers, archive, admin port. Far more than
// the 40 that `make soak` sees.
constexpr rlim_t kOtherDescriptors = 1024;

// No failure: a disk may be mounted later. Without a word the page would have no pictures for no
// reason, as where a service does not see homes.
void check_media_root(const std::string& folder) {
  std::error_code error;
  if (folder.empty() || std::filesystem::is_directory(folder, error)) return;
  spdlog::warn("processor.media_root {}: {}; the page shows no pictures", folder,
               error ? error.message() : "is no folder");
}

// A shell gives 1,024 descriptors, since select() knows no more, and lets a program that does
// without it raise that. Not to all that is allowed: what leaks shall meet an end.
void allow_connections(int64_t connections_max) {
  const rlim_t wanted = static_cast<rlim_t>(connections_max) + kOtherDescriptors;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur == wanted) return;
  spdlog::warn(
      "processor.connections_max is {}, which wants {} open files, but the hard limit is {}: raise "
      "that (ulimit -Hn, LimitNOFILE= of systemd), or lower connections_max",
      connections_max, wanted, limit.rlim_max);
}

http::ServerOptions server_options(const config::Settings& settings,
                                   const config::Address& address) {
  const config::Processor& from = settings.processor;
  http::ServerOptions options;
  options.host = address.host;
  options.port = address.port;
  options.threads = static_cast<unsigned>(from.threads);
  options.tls_cert_file = from.tls_cert_file;
  options.tls_key_file = from.tls_key_file;
  options.header_bytes_max = static_cast<size_t>(from.header_bytes_max);
  options.body_bytes_max = static_cast<size_t>(from.body_bytes_max);
  // At least a few of the largest at once.
  constexpr size_t kLargestAtOnce = 4;
  options.bodies_bytes_max =
      std::max(options.bodies_bytes_max, options.body_bytes_max * kLargestAtOnce);
  options.header_timeout_ms = from.header_timeout_ms;
  options.idle_timeout_ms = from.idle_timeout_ms;
  options.connections_max = static_cast<size_t>(from.connections_max);
  return options;
}

processor::ProcessorOptions processor_options(const config::Settings& settings) {
  return {.inflated_bytes_max = static_cast<size_t>(settings.processor.inflated_bytes_max),
          .batch_events_max = static_cast<size_t>(settings.processor.batch_events_max),
          .kafka_bootstrap = settings.kafka.bootstrap,
          .outbox_file = uses_outbox(settings) ? outbox_file(settings) : "",
          .version = CA4_VERSION,
          .processor_id = processor_id(settings)};
}

}  // namespace

Result<std::unique_ptr<Front>> Front::start(const config::Settings& settings, Ports& ports,
                                            const Clock& clock, ops::Metrics& metrics) {
  std::unique_ptr<Front> front(new Front(settings, ports, clock, metrics));
  const Status opened = front->open(metrics);
  if (!opened.is_ok()) return opened;
  return front;
}

Front::Front(const config::Settings& settings, Ports& ports, const Clock& clock,
             ops::Metrics& metrics)
    : settings_(settings),
      ports_(ports),
      clock_(clock),
      http_metrics_(std::make_unique<processor::HttpMetrics>(metrics.registry())),
      tokens_({.handed_out_file = tunnel_token_file(settings),
               .refused = [this](std::string_view reason) { http_metrics_->kept_out(reason); }}),
      request_log_(std::make_unique<processor::RequestLog>()),
      processor_(std::make_unique<processor::Processor>(*ports.events, clock, metrics.registry(),
                                                        traffic_, processor_options(settings))) {}

Front::~Front() {
  stop();
  page_.reset();  // its threads ask the server for its connections
}

Status Front::open(ops::Metrics& metrics) {
  const config::Processor& from = settings_.processor;
  const Result<config::Address> address = config::parse_address(from.listen);
  if (!address) return address.status();
  if (!from.token_file.empty()) {
    const Status loaded = tokens_.load(from.token_file);
    if (!loaded.is_ok()) return loaded;
  }
  if (!from.model.empty()) {
    auto embedder =
        ImageEmbedder::open({.model_path = from.model, .ort_path = from.ort, .output = {}});
    if (!embedder) return embedder.status();
    embedder_ = std::move(*embedder);
  }
  if (uses_outbox(settings_)) {
    Result<std::unique_ptr<processor::VersionMark>> mark =
        processor::VersionMark::open(version_mark_file(settings_));
    if (!mark) return mark.status();
    processor_->remember_versions(std::move(*mark));
  }
  const Status seeded = seed_versions();
  if (!seeded.is_ok()) return seeded;
  // An embedded log has one processor.
  if (!settings_.kafka.bootstrap.empty()) let_clock_catch_up();
  add_routes(metrics, address->host);
  add_gauges(metrics);
  allow_connections(from.connections_max);
  http::ServerOptions options = server_options(settings_, *address);
  options.refused = [this](int status) { http_metrics_->refused(status); };
  options.refuse_early = request_log_->watch_early(
      [this](const http::Request& request) { return tokens_.refuse_early(request); });
  Result<std::unique_ptr<http::Server>> server =
      http::Server::start(options, request_log_->watch(http_metrics_->count(router_)));
  if (!server) return server.status();
  server_ = std::move(*server);
  if (!tokens_.required() && !http::is_loopback(address->host)) {
    spdlog::warn("anybody who reaches {} may write and read; give --token-file to change that",
                 from.listen);
  }
  check_media_root(from.media_root);
  return Status::ok();
}

Status Front::seed_once() {
  const Result<std::vector<log::Record>> newest = ports_.events->newest();
  if (!newest) return newest.status();
  processor_->continue_versions(*newest);
  return Status::ok();
}

Status Front::seed_versions() {
  const Status status = seed_once();
  if (status.code() != Code::kUnavailable) return status;
  spdlog::warn("the newest event is not known yet: {}", status.message());
  seeding_ = std::jthread([this](const std::stop_token& stopped) {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    while (!stopped.stop_requested() && !seed_once().is_ok()) {
      changed.wait_for(lock, stopped, kSeedAgain, [] { return false; });
    }
  });
  return Status::ok();
}

void Front::let_clock_catch_up() {
  const int64_t ahead_us = processor_->ahead_us();
  if (ahead_us <= kCatchUpUsMax) {
    std::this_thread::sleep_for(std::chrono::microseconds(ahead_us));
    return;
  }
  spdlog::warn(
      "this machine's clock is {} s behind the newest event: until it has caught up, an update "
      "that another processor of this topic accepts may be taken for older than one from here; set "
      "it (`timedatectl`, `chronyc tracking`)",
      ahead_us / 1'000'000);
}

page::PageParts Front::page_parts() {
  page::PageParts parts;
  parts.clock = &clock_;
  parts.traffic = &traffic_;
  parts.log = ports_.events.get();
  parts.groups = reading_groups(settings_);
  parts.dead_letters = ports_.dead_letters.get();
  parts.store = ports_.store.get();
  if (embedder_) {
    parts.embed = [this](std::string_view image) { return embedder_->embed(image); };
  }
  parts.media_root = settings_.processor.media_root;
  parts.connections = [this] { return server_ ? server_->connections() : 0; };
  parts.version = CA4_VERSION;
  return parts;
}

page::Guard Front::guard_for(const std::string& listen_host, http::Scope scope) const {
  if (!tokens_.required() && http::is_loopback(listen_host)) {
    return [listen_host](http::Handler inner) {
      return http::guard_local(std::move(inner), listen_host, "--token-file");
    };
  }
  return [this, scope](http::Handler inner) { return tokens_.guard(scope, std::move(inner)); };
}

void Front::add_routes(ops::Metrics& metrics, const std::string& listen_host) {
  processor_->add_routes(router_, guard_for(listen_host, http::Scope::kWrite));
  page_ = std::make_unique<page::Page>(page_parts());
  page_->add_routes(router_, guard_for(listen_host, http::Scope::kRead));
  // Kafka is asked for it, and whoever reaches this port may ask.
  scrapes_ = std::make_unique<http::SharedAnswer>([&metrics] {
    return http::Response{.content_type = std::string(ops::kMetricsContentType),
                          .body = metrics.text()};
  });
  const http::Handler scrape = scrapes_->handler();
  // By any Host, as the probes: a scraper may know this machine by another name.
  router_.add(
      "GET", "/metrics",
      settings_.processor.metrics_auth ? tokens_.guard(http::Scope::kRead, scrape) : scrape);
}

void Front::add_gauges(ops::Metrics& metrics) {
  metrics.gauge("ca4_http_connections",
                [this] { return server_ ? static_cast<double>(server_->connections()) : 0.0; });
  metrics.gauge("ca4_log_queue_appends",
                [this] { return static_cast<double>(ports_.events->queue_depth()); });
}

std::string Front::url() const {
  const Result<config::Address> address = config::parse_address(settings_.processor.listen);
  return (settings_.processor.tls_cert_file.empty() ? "http://" : "https://") +
         host_port(address->host, server_->port());
}

void Front::reload() {
  const config::Processor& from = settings_.processor;
  if (from.token_file.empty() && from.tls_cert_file.empty()) {
    return spdlog::info("nothing to read again: neither token file nor certificate was given");
  }
  if (!from.token_file.empty()) tokens_.reload(from.token_file);
  if (from.tls_cert_file.empty()) return;
  const Status fresh = server_->reload_certificate();
  if (!fresh.is_ok()) return spdlog::error("the old certificate stays: {}", fresh.message());
  spdlog::info("certificate read again from {}", from.tls_cert_file);
}

void Front::stop() {
  seeding_ = {};
  if (!server_) return;
  const size_t cut_off = server_->stop(settings_.processor.shutdown_grace_ms);
  scrapes_.reset();  // nobody asks any more, and the log that it asks is closed next
  if (cut_off > 0) {
    spdlog::warn("{} connections had a request in flight after {} ms and were cut off", cut_off,
                 settings_.processor.shutdown_grace_ms);
  }
}

}  // namespace ca4::cli
