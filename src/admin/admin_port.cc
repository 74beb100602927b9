#include "admin/admin_port.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <utility>

#include "admin/address_file.h"
#include "admin/log_level.h"
#include "base/host_port.h"
#include "http/job_pool.h"
#include "http/local_guard.h"
#include "http/problem.h"
#include "http/request_id.h"
#include "http/router.h"
#include "http/server.h"
#include "http/tokens.h"
#include "ops/log_context.h"
#include "ops/metrics.h"

namespace ca4::admin {
namespace {

using std::chrono::steady_clock;

// A scraper, a few probes and a few people; one that does not answer its requests is no reason to
// keep more.
constexpr size_t kConnectionsMax = 64;
constexpr size_t kBodyBytesMax = 64U << 10;
constexpr size_t kWaitingMax = 16;
constexpr int kRetryAfterS = 1;
// However many ask, log and store are asked once in that time.
constexpr auto kReadyFor = std::chrono::seconds(1);
// What an operator's answer in hand may take when the process ends.
constexpr int64_t kGraceMs = 1'000;

class Port final : public AdminPort {
 public:
  Port(AdminOptions options, AdminAnswers answers)
      : options_(std::move(options)), answers_(std::move(answers)) {}

  ~Port() override {
    if (server_) server_->stop(kGraceMs);
  }

  Status open() {
    if (!options_.token_file.empty()) {
      if (Status bad = tokens_.load(options_.token_file); !bad.is_ok()) return bad;
    }
    add_routes();
    http::ServerOptions server;
    server.host = options_.host;
    server.port = options_.port;
    server.threads = 1;
    server.body_bytes_max = kBodyBytesMax;
    server.connections_max = kConnectionsMax;
    Result<std::unique_ptr<http::Server>> started =
        http::Server::start(server, [this](http::Request request, http::Respond respond) {
          route(std::move(request), std::move(respond));
        });
    if (!started) return {started.status().code(), "admin port: " + started.status().message()};
    server_ = std::move(*started);
    leave_address();
    return Status::ok();
  }

  std::string url() const override { return "http://" + host_port(options_.host, server_->port()); }

  void reload() override {
    if (!options_.token_file.empty()) tokens_.reload(options_.token_file);
  }

 private:
  void route(http::Request request, http::Respond respond) {
    std::string id = request_ids_.of(request);
    const ops::LogContext context(id, "");
    router_.route(std::move(request), [id, respond = std::move(respond)](http::Response response) {
      response.headers.emplace_back(http::kRequestId, id);
      respond(std::move(response));
    });
  }

  void leave_address() {
    if (options_.folder.empty()) return;
    Result<std::unique_ptr<AddressFile>> file =
        AddressFile::write(options_.folder, options_.name, url());
    if (file) {
      address_file_ = std::move(*file);
    } else {
      spdlog::warn("the admin port's address can't be left for others: {}",
                   file.status().message());
    }
  }

  void add_routes() {
    const std::string health = fmt::format(
        R"({{"status":"healthy","command":{},"version":{},"pid":{}}})",
        http::json_string(options_.name), http::json_string(options_.version), getpid());
    router_.add("GET", "/health", [health](const http::Request&, const http::Respond& respond) {
      respond(http::Response{.body = health});
    });
    router_.add("GET", "/livez", [](const http::Request&, const http::Respond& respond) {
      respond(http::Response{.body = R"({"status":"alive"})"});
    });
    const std::string busy = "too many wait for this answer already";
    router_.add("GET", "/readyz",
                http::pooled(checks_, busy, [this](const http::Request&) { return ready(); }));
    router_.add("GET", "/metrics", http::pooled(scrapes_, busy, [this](const http::Request&) {
                  return http::Response{.content_type = std::string(ops::kMetricsContentType),
                                        .body = answers_.metrics()};
                }));
    router_.add("GET", "/log-level", guard(http::Scope::kRead, get_log_level));
    router_.add("PUT", "/log-level", guard(http::Scope::kAdmin, put_log_level));
    for (const GuardedRoute& route : answers_.guarded) {
      router_.add(route.method, route.path, guard(route.scope, route.handler));
    }
  }

  // In the thread of checks_.
  http::Response ready() {
    const auto now = steady_clock::now();
    if (!ready_ || now - ready_at_ >= kReadyFor) {
      ready_ = answers_.ready();
      ready_at_ = steady_clock::now();
    }
    if (!ready_->is_ok()) return http::problem_retry(503, ready_->message(), kRetryAfterS);
    return http::Response{.body = R"({"status":"ready"})"};
  }

  http::Handler guard(http::Scope scope, http::Handler inner) const {
    if (tokens_.required()) return tokens_.guard(scope, std::move(inner));
    if (http::is_loopback(options_.host)) {
      return guard_local(std::move(inner), options_.host, "--admin-token-file");
    }
    return [](const http::Request&, const http::Respond& respond) {
      respond(http::problem(403,
                            "without admin.token_file this is answered only where admin.listen is "
                            "a loopback address"));
    };
  }

  const AdminOptions options_;
  const AdminAnswers answers_;
  http::Tokens tokens_;
  const http::RequestIds request_ids_;
  http::Router router_;
  std::optional<Status> ready_;        // in the thread of checks_
  steady_clock::time_point ready_at_;  // the same
  // Apart, so that a database that does not answer holds up no scrape.
  http::JobPool checks_{1, kWaitingMax};
  http::JobPool scrapes_{1, kWaitingMax};
  std::unique_ptr<AddressFile> address_file_;
  std::unique_ptr<http::Server> server_;
};

}  // namespace

Result<std::unique_ptr<AdminPort>> AdminPort::start(const AdminOptions& options,
                                                    AdminAnswers answers) {
  auto port = std::make_unique<Port>(options, std::move(answers));
  if (Status bad = port->open(); !bad.is_ok()) return bad;
  return std::unique_ptr<AdminPort>(std::move(port));
}

}  // namespace ca4::admin
