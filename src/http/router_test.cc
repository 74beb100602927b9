#include "http/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "http/problem.h"

namespace ca4::http {
namespace {

class RouterTest : public testing::Test {
 protected:
  RouterTest() {
    router_.add("GET", "/a",
                [](const Request&, const Respond& respond) { respond({.status = 201}); });
    router_.add("POST", "/b",
                [](const Request&, const Respond& respond) { respond({.status = 202}); });
  }
  Response ask(const std::string& method, const std::string& path) {
    Request request;
    request.method = method;
    request.path = path;
    Response out;
    router_.route(std::move(request), [&](Response response) { out = std::move(response); });
    return out;
  }
  Router router_;
};

TEST_F(RouterTest, MethodAndPathFindTheHandler) {
  EXPECT_EQ(ask("GET", "/a").status, 201);
  EXPECT_EQ(ask("HEAD", "/a").status, 201);
  EXPECT_EQ(ask("POST", "/b").status, 202);
}

TEST_F(RouterTest, AnUnknownPathIs404) {
  const Response response = ask("GET", "/c");
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/problem+json");
}

TEST_F(RouterTest, AnotherMethodIs405WithAllow) {
  const Response get = ask("POST", "/a");
  EXPECT_EQ(get.status, 405);
  EXPECT_THAT(get.headers, testing::ElementsAre(testing::Pair("Allow", "GET, HEAD")));
  EXPECT_THAT(ask("HEAD", "/b").headers, testing::ElementsAre(testing::Pair("Allow", "POST")));
}

TEST(ProblemTest, NamesTheFieldAndEscapesWhatTheClientSent) {
  EXPECT_EQ(problem_json(422, "bad \"x\"\n", "embedding[3]"),
            R"({"type":"about:blank","title":"Unprocessable Content","status":422,)"
            R"("detail":"bad \"x\"\n","field":"embedding[3]"})");
  EXPECT_EQ(json_string("\xFF"), "\"\xEF\xBF\xBD\"");
}

TEST(ProblemTest, RetryAfterIsAHeader) {
  const Response response = problem_retry(503, "full", 2);
  EXPECT_THAT(response.headers, testing::Contains(testing::Pair("Retry-After", "2")));
}

}  // namespace
}  // namespace ca4::http
