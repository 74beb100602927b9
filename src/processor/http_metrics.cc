#include "processor/http_metrics.h"

#include <chrono>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "ops/families.h"

namespace ca4::processor {
namespace {

using Seconds = std::chrono::duration<double>;
using std::chrono::steady_clock;

struct Route {
  prometheus::Histogram* seconds = nullptr;
  std::map<int, prometheus::Counter*> codes;
};

}  // namespace

struct HttpMetrics::Impl {
  explicit Impl(prometheus::Registry& registry)
      : requests(ops::counters(registry, "ca4_http_requests_total")),
        seconds(ops::histograms(registry, "ca4_http_request_seconds")),
        refused(ops::counters(registry, "ca4_http_refused_total")),
        kept_out(ops::counters(registry, "ca4_auth_refused_total")) {}

  void answered(const std::string& route, int code, double took_s) {
    prometheus::Counter* counter = nullptr;
    prometheus::Histogram* histogram = nullptr;
    {
      const std::shared_lock lock(mutex);
      const auto known = routes.find(route);
      if (known != routes.end()) {
        const auto with_code = known->second.codes.find(code);
        if (with_code != known->second.codes.end()) counter = with_code->second;
        histogram = known->second.seconds;
      }
    }
    if (counter == nullptr) {
      const std::unique_lock lock(mutex);
      Route& made = routes[route];
      if (made.seconds == nullptr) made.seconds = &seconds.with({{"route", route}});
      made.codes[code] = &requests.Add({{"route", route}, {"code", std::to_string(code)}});
      counter = made.codes[code];
      histogram = made.seconds;
    }
    counter->Increment();
    histogram->Observe(took_s);
  }

  prometheus::Family<prometheus::Counter>& requests;
  ops::Histograms seconds;
  prometheus::Family<prometheus::Counter>& refused;
  prometheus::Family<prometheus::Counter>& kept_out;
  std::shared_mutex mutex;
  std::map<std::string, Route> routes;  // guarded by mutex
};

HttpMetrics::HttpMetrics(prometheus::Registry& registry)
    : impl_(std::make_unique<Impl>(registry)) {}
HttpMetrics::~HttpMetrics() = default;

http::Handler HttpMetrics::count(const http::Router& router) {
  return [this, &router](http::Request request, http::Respond respond) {
    const auto began = steady_clock::now();
    std::string route = router.knows(request.path) ? request.path : "other";
    router.route(std::move(request), [this, began, route = std::move(route),
                                      respond = std::move(respond)](http::Response response) {
      impl_->answered(route, response.status, Seconds(steady_clock::now() - began).count());
      respond(std::move(response));
    });
  };
}

void HttpMetrics::refused(int status) {
  impl_->refused.Add({{"code", std::to_string(status)}}).Increment();
}

void HttpMetrics::kept_out(std::string_view reason) {
  impl_->kept_out.Add({{"reason", std::string(reason)}}).Increment();
}

}  // namespace ca4::processor
