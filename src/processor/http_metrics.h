// How requests are counted and timed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "http/router.h"

namespace prometheus {
class Registry;
}

namespace ca4::processor {

// ca4_http_requests_total{route,code}, ca4_http_request_seconds{route};
// ca4_http_refused_total{code} for what never became a request. Thread-safe. `route` is a path
// somebody added, or "other".
class HttpMetrics {
 public:
  explicit HttpMetrics(prometheus::Registry& registry);
  ~HttpMetrics();
  HttpMetrics(const HttpMetrics&) = delete;
  HttpMetrics& operator=(const HttpMetrics&) = delete;

  // A handler that gives requests to `router` and counts the answers. Both must outlive it.
  http::Handler count(const http::Router& router);

  void refused(int status);

  // Of http::Tokens: ca4_auth_refused_total{reason}.
  void kept_out(std::string_view reason);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::processor
