#include "processor/http_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ops/metrics.h"

namespace ca4::processor {
namespace {

using testing::HasSubstr;

TEST(HttpMetricsTest, AnswersAreCountedByRouteAndStatusAndUnknownPathsTogether) {
  ops::Metrics all("1", "up");
  HttpMetrics metrics(all.registry());
  http::Router router;
  router.add("GET", "/a",
             [](const http::Request&, const http::Respond& respond) { respond({.status = 200}); });
  const http::Handler handler = metrics.count(router);
  for (const char* path : {"/a", "/a", "/x", "/y"}) {
    http::Request request;
    request.method = "GET";
    request.path = path;
    handler(std::move(request), [](const http::Response&) {});
  }
  metrics.refused(431);
  metrics.kept_out("scope");
  const std::string text = all.text();
  EXPECT_THAT(text, HasSubstr("ca4_http_requests_total{code=\"200\",route=\"/a\"} 2"));
  EXPECT_THAT(text, HasSubstr("ca4_http_requests_total{code=\"404\",route=\"other\"} 2"));
  EXPECT_THAT(text, HasSubstr("ca4_http_request_seconds_count{route=\"/a\"} 2"));
  EXPECT_THAT(text, HasSubstr("ca4_http_refused_total{code=\"431\"} 1"));
  EXPECT_THAT(text, HasSubstr("ca4_auth_refused_total{reason=\"scope\"} 1"));
}

}  // namespace
}  // namespace ca4::processor
