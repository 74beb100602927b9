#include "processor/request_log.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "base/log_limiter.h"
#include "event/traceparent.h"
#include "http/request_id.h"
#include "ops/log_context.h"

namespace ca4::processor {
namespace {

using std::chrono::steady_clock;

// A line stays a line.
constexpr size_t kPathBytesMax = 200;
constexpr int kOurFault = 500;

// Behind the version and its dash.
std::string_view trace_id_of(const http::Request& request) {
  constexpr size_t kBegin = 3;
  constexpr size_t kBytes = 32;
  const std::string_view trace = request.header(event::kTraceparent);
  return event::is_traceparent(trace) ? trace.substr(kBegin, kBytes) : std::string_view();
}

// The detail of a problem; empty where the answer has none.
std::string reason_of(const http::Response& response) {
  const auto problem = nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (!problem.is_object() || !problem.contains("detail") || !problem["detail"].is_string()) {
    return {};
  }
  return ": " + problem["detail"].get<std::string>();
}

// By whose token; nothing where none was asked for.
std::string by(const std::string& caller) {
  return caller.empty() ? "" : fmt::format(" by token '{}'", caller);
}

struct Entry {
  std::string id;
  std::string trace_id;
  std::string what;  // "POST /metadata"
  std::string peer;
  steady_clock::time_point began;
};

}  // namespace

struct RequestLog::Impl {
  Entry entry_of(const http::Request& request) const {
    Entry out;
    out.id = ids.of(request);
    out.trace_id = trace_id_of(request);
    out.what = fmt::format("{} {}", request.method, request.path.substr(0, kPathBytesMax));
    out.peer = request.peer;
    out.began = steady_clock::now();
    return out;
  }

  void answered(const Entry& entry, const http::Response& response) {
    const auto now = steady_clock::now();
    spdlog::debug("{} from {}{}: {} in {:.3f} ms, {} bytes", entry.what, entry.peer,
                  by(response.caller), response.status,
                  std::chrono::duration<double, std::milli>(now - entry.began).count(),
                  response.body.size());
    if (response.status < kOurFault) return;
    const std::optional<size_t> kept_back = limiter.allow(std::to_string(response.status), now);
    if (!kept_back) return;
    spdlog::warn("{} from {} is answered {}{}{}", entry.what, entry.peer, response.status,
                 reason_of(response), and_like_it(*kept_back));
  }

  const http::RequestIds ids;
  LogLimiter limiter;
};

RequestLog::RequestLog() : impl_(std::make_unique<Impl>()) {}
RequestLog::~RequestLog() = default;

http::Handler RequestLog::watch(http::Handler inner) {
  return [this, inner = std::move(inner)](http::Request request, http::Respond respond) {
    auto entry = std::make_shared<const Entry>(impl_->entry_of(request));
    const ops::LogContext context(entry->id, entry->trace_id);
    inner(std::move(request), [this, entry, respond = std::move(respond)](http::Response response) {
      const ops::LogContext own(entry->id, entry->trace_id);
      impl_->answered(*entry, response);
      response.headers.emplace_back(http::kRequestId, entry->id);
      respond(std::move(response));
    });
  };
}

http::EarlyRefusal RequestLog::watch_early(http::EarlyRefusal inner) {
  return [this, inner = std::move(inner)](const http::Request& request) {
    const Entry entry = impl_->entry_of(request);
    const ops::LogContext context(entry.id, entry.trace_id);
    std::optional<http::Response> refusal = inner(request);
    if (refusal) {
      impl_->answered(entry, *refusal);
      refusal->headers.emplace_back(http::kRequestId, entry.id);
    }
    return refusal;
  };
}

}  // namespace ca4::processor
