#include "http/fetch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "http/server.h"

namespace ca4::http {
namespace {

// Answers with what it was asked.
class FetchTest : public testing::Test {
 protected:
  FetchTest() {
    ServerOptions options;
    options.port = 0;
    options.threads = 1;
    auto server = Server::start(options, [](const Request& request, const Respond& respond) {
      Response response;
      response.status = request.path == "/missing" ? 404 : 200;
      response.content_type = "text/plain";
      response.body = fmt::format("{} {} {} {}", request.method, request.path,
                                  request.header("X-Test"), request.body());
      respond(std::move(response));
    });
    EXPECT_TRUE(server) << server.status().to_string();
    server_ = std::move(*server);
    url_ = fmt::format("http://127.0.0.1:{}", server_->port());
  }

  FetchOutcome get(const std::string& path) { return fetch({.url = url_ + path}); }

  std::unique_ptr<Server> server_;
  std::string url_;
};

TEST_F(FetchTest, GivesStatusAndBodyWhateverTheStatus) {
  const FetchOutcome found = get("/a");
  ASSERT_TRUE(found.answer) << found.message;
  EXPECT_EQ(found.answer->status, 200);
  EXPECT_EQ(found.answer->body, "GET /a  ");
  const FetchOutcome missing = get("/missing");
  ASSERT_TRUE(missing.answer) << missing.message;
  EXPECT_EQ(missing.answer->status, 404);
}

TEST_F(FetchTest, SendsMethodHeadersAndBody) {
  const FetchOutcome posted =
      fetch({.method = "POST", .url = url_ + "/b", .headers = {{"X-Test", "yes"}}, .body = "{}"});
  ASSERT_TRUE(posted.answer) << posted.message;
  EXPECT_EQ(posted.answer->body, "POST /b yes {}");
}

TEST_F(FetchTest, AnAnswerOverTheLimitIsNone) {
  const FetchOutcome outcome = fetch({.url = url_ + "/long", .answer_bytes_max = 3});
  EXPECT_FALSE(outcome.answer);
}

TEST_F(FetchTest, SaysWhyThereIsNoAnswer) {
  server_.reset();
  EXPECT_EQ(get("/").why, NoAnswer::kRefused);
  EXPECT_EQ(fetch({.url = "ftp://127.0.0.1/"}).why, NoAnswer::kOther);
}

// Takes one connection and does nothing, or hangs up.
NoAnswer ask_listener(bool hang_up, const char* scheme) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener, 1), 0);
  socklen_t size = sizeof address;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::thread other([&] {
    if (hang_up) close(accept(listener, nullptr, nullptr));
  });
  const FetchOutcome outcome =
      fetch({.url = fmt::format("{}://127.0.0.1:{}/", scheme, ntohs(address.sin_port)),
             .timeout_ms = hang_up ? 20'000 : 100});
  other.join();
  close(listener);
  EXPECT_FALSE(outcome.answer);
  EXPECT_FALSE(outcome.message.empty());
  return outcome.why;
}

TEST(Fetch, SilenceAndHangingUpAreToldApart) {
  EXPECT_EQ(ask_listener(false, "http"), NoAnswer::kSilent);
  EXPECT_EQ(ask_listener(true, "http"), NoAnswer::kCutOff);
  EXPECT_EQ(ask_listener(true, "https"), NoAnswer::kTls);
}

}  // namespace
}  // namespace ca4::http
