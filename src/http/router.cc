#include "http/router.h"

#include <fmt/format.h>

#include <cassert>

#include "http/problem.h"

namespace ca4::http {

void Router::add(const std::string& method, const std::string& path, Handler handler) {
  [[maybe_unused]] const bool added = routes_[path].emplace(method, std::move(handler)).second;
  assert(added);
}

void Router::route(Request request, Respond respond) const {
  const auto path = routes_.find(request.path);
  if (path == routes_.end()) {
    return respond(problem(404, fmt::format("nothing is at {}", request.path)));
  }
  const auto& methods = path->second;
  const auto method = methods.find(request.method == "HEAD" ? "GET" : request.method);
  if (method != methods.end()) return method->second(std::move(request), std::move(respond));
  std::string allow;
  for (const auto& [name, handler] : methods) {
    allow.append(allow.empty() ? "" : ", ").append(name);
    if (name == "GET") allow.append(", HEAD");
  }
  Response response =
      problem(405, fmt::format("{} takes {}, not {}", request.path, allow, request.method));
  response.headers.emplace_back("Allow", allow);
  respond(std::move(response));
}

}  // namespace ca4::http
