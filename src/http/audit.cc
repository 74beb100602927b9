#include "http/audit.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <optional>
#include <utility>

#include "http/attempts.h"

namespace ca4::http {
namespace {

// A line stays a line.
constexpr size_t kMethodBytesMax = 32;
constexpr size_t kPathBytesMax = 200;

// A line is some 200 bytes: at most 0.4 GB a day.
constexpr double kLinesPerS = 20;
constexpr double kLinesAtOnce = 200;

// "127.0.0.1:5", and whom it speaks for where it says so.
std::string from(const Request& request) {
  const std::string client = client_address(request);
  const bool forwarded = !request.header("X-Forwarded-For").empty();
  return forwarded ? request.peer + " for " + client : request.peer;
}

}  // namespace

Audit::Audit() : lines_(kLinesPerS, kLinesAtOnce) {}

void Audit::refused(const Request& request, int status, std::string_view why) {
  spdlog::warn("audit: {} {} from {} is refused {}: {}", request.method.substr(0, kMethodBytesMax),
               request.path.substr(0, kPathBytesMax), from(request), status, why);
}

void Audit::refused_by_many(const Request& request, int status, std::string_view why) {
  std::string like_it;
  {
    const std::lock_guard lock(mutex_);
    if (lines_.take(std::chrono::steady_clock::now()) > Allowance::Wait::zero()) {
      ++kept_back_;
      return;
    }
    like_it = and_like_it(std::exchange(kept_back_, 0));
  }
  refused(request, status, std::string(why) + like_it);
}

void Audit::refused_often(const Request& request, int status, const std::string& kind,
                          std::string_view why) {
  const std::optional<size_t> kept_back = limiter_.allow(kind, std::chrono::steady_clock::now());
  if (!kept_back) return;
  refused(request, status, std::string(why) + and_like_it(*kept_back));
}

}  // namespace ca4::http
