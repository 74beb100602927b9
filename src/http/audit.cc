#include "http/audit.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <optional>

#include "http/attempts.h"

namespace ca4::http {
namespace {

// A line stays a line.
constexpr size_t kMethodBytesMax = 32;
constexpr size_t kPathBytesMax = 200;

// "127.0.0.1:5", and whom it speaks for where it says so.
std::string from(const Request& request) {
  const std::string client = client_address(request);
  const bool forwarded = !request.header("X-Forwarded-For").empty();
  return forwarded ? request.peer + " for " + client : request.peer;
}

}  // namespace

void Audit::refused(const Request& request, int status, std::string_view why) {
  spdlog::warn("audit: {} {} from {} is refused {}: {}", request.method.substr(0, kMethodBytesMax),
               request.path.substr(0, kPathBytesMax), from(request), status, why);
}

void Audit::refused_often(const Request& request, int status, const std::string& kind,
                          std::string_view why) {
  const std::optional<size_t> kept_back = limiter_.allow(kind, std::chrono::steady_clock::now());
  if (!kept_back) return;
  refused(request, status, std::string(why) + and_like_it(*kept_back));
}

}  // namespace ca4::http
