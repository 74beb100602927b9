#include "top/watch.h"

#include <gmock/gmock.h>

#include <fmt/format.h>
#include <chrono>
#include <functional>
#include <thread>

#include "http/problem.h"
#include "http/router.h"

namespace ca4::top {
namespace {

using testing::HasSubstr;

class WatchTest : public testing::Test {
 protected:
  WatchTest() {
    router_.add("GET", "/metrics", [this](const http::Request&, const http::Respond& respond) {
      respond(http::Response{.body = fmt::format("n {}\n", ++asked_)});
    });
    router_.add("GET", "/readyz", [](const http::Request&, const http::Respond& respond) {
      respond(http::problem(503, "the disk is full"));
    });
  }

  void start(uint16_t port = 0) {
    auto server = http::Server::start({.port = port, .threads = 1},
                                      [this](http::Request request, http::Respond respond) {
                                        router_.route(std::move(request), std::move(respond));
                                      });
    ASSERT_TRUE(server) << server.status().to_string();
    server_ = std::move(*server);
  }
  std::string address() const { return fmt::format("http://127.0.0.1:{}", server_->port()); }

  // The only process, once it is as wanted.
  static Process eventually(const Watch& watch, const std::function<bool(const Process&)>& wanted) {
    for (int i = 0; i < 2000 && !wanted(watch.processes().at(0)); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return watch.processes().at(0);
  }

  std::atomic<int> asked_ = 0;
  http::Router router_;
  std::unique_ptr<http::Server> server_;
};

TEST_F(WatchTest, LooksAgainAndKeepsTheWindow) {
  start();
  Watch watch({.interval_ms = 10, .window_ms = 100});
  watch.add("work", address());
  watch.add("work", address());
  ASSERT_EQ(watch.processes().size(), 1U);
  const Process process = eventually(watch, [](const Process& p) {
    return !p.window.empty() && p.window.front().scrape.sum("n") > 5;
  });
  EXPECT_EQ(process.not_ready, "the disk is full");
  EXPECT_EQ(process.trouble, "");
  EXPECT_GT(process.window.size(), 1U);
  EXPECT_LT(process.window.front().t_s, process.window.back().t_s);
}

TEST_F(WatchTest, ItGoingAwayAndComingBackIsSeen) {
  start();
  const uint16_t port = server_->port();
  Watch watch({.interval_ms = 10});
  watch.add("work", address());
  eventually(watch, [](const Process& p) { return !p.window.empty(); });
  server_.reset();
  const Process away = eventually(watch, [](const Process& p) { return !p.trouble.empty(); });
  EXPECT_FALSE(away.trouble.empty());
  EXPECT_GE(away.silent_s, 0);
  start(port);
  const Process back = eventually(watch, [](const Process& p) { return p.trouble.empty(); });
  EXPECT_EQ(back.trouble, "");
}

TEST_F(WatchTest, ARefusalIsShownWithItsReason) {
  http::Router refusing;
  refusing.add("GET", "/metrics", [](const http::Request&, const http::Respond& respond) {
    respond(http::problem(400, "this port speaks HTTPS: use https://"));
  });
  std::swap(router_, refusing);
  start();
  Watch watch({.interval_ms = 10});
  watch.add("work", address());
  const Process refused = eventually(watch, [](const Process& p) { return !p.trouble.empty(); });
  EXPECT_EQ(refused.trouble, "/metrics is answered 400: this port speaks HTTPS: use https://");
}

TEST_F(WatchTest, ASuccessorTakesThePlaceOfOneThatIsGone) {
  start();
  Watch watch({.interval_ms = 10});
  watch.add("work", "http://127.0.0.1:1");
  eventually(watch, [](const Process& p) { return !p.trouble.empty(); });
  watch.add("work", address());
  ASSERT_EQ(watch.processes().size(), 1U);
  EXPECT_EQ(watch.processes()[0].address, address());
}

}  // namespace
}  // namespace ca4::top
