#include "admin/admin_port.h"

#include <gmock/gmock.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/test_dir.h"
#include "http/fetch.h"
#include "http/token_file.h"
#include "ops/logging.h"

namespace ca4::admin {
namespace {

using testing::HasSubstr;

class AdminPortTest : public testing::Test {
 protected:
  void start(AdminOptions options = {}) {
    options.folder = dir_.path() + "/admin";
    options.name = "work";
    options.version = "1.2.3";
    auto port = AdminPort::start(
        options, {.metrics = [this] { return metrics(); }, .ready = [this] { return ready(); }});
    ASSERT_TRUE(port) << port.status().to_string();
    port_ = std::move(*port);
  }

  http::Fetched ask(const std::string& path, const std::string& method = "GET",
                    const std::string& body = {},
                    std::vector<std::pair<std::string, std::string>> headers = {}) const {
    std::string url = port_->url();
    // Listening everywhere, it is asked here.
    if (const size_t any = url.find("0.0.0.0"); any != std::string::npos) {
      url.replace(any, 7, "127.0.0.1");
    }
    const http::FetchOutcome outcome = http::fetch(
        {.method = method, .url = url + path, .headers = std::move(headers), .body = body});
    EXPECT_TRUE(outcome.answer) << outcome.message;
    return outcome.answer.value_or(http::Fetched{});
  }

  std::string metrics() const { return "ca4_build_info 1\n"; }
  Status ready() {
    ++asked_;
    if (held_.valid()) held_.wait();
    return ready_;
  }

  const TempDir dir_;
  std::atomic<int> asked_ = 0;
  std::shared_future<void> held_;
  Status ready_;
  std::unique_ptr<AdminPort> port_;
};

TEST_F(AdminPortTest, AnswersProbesAndScrapes) {
  start();
  EXPECT_THAT(port_->url(), testing::StartsWith("http://127.0.0.1:"));
  EXPECT_EQ(ask("/livez").status, 200);
  EXPECT_EQ(ask("/readyz").status, 200);
  EXPECT_EQ(ask("/metrics").body, "ca4_build_info 1\n");
  const auto health = nlohmann::json::parse(ask("/health").body);
  EXPECT_EQ(health["status"], "healthy");
  EXPECT_EQ(health["command"], "work");
  EXPECT_EQ(health["version"], "1.2.3");
  EXPECT_EQ(ask("/nothing").status, 404);
}

TEST_F(AdminPortTest, NotReadySaysWhy) {
  ready_ = {Code::kUnavailable, "document store: nobody there"};
  start();
  const http::Fetched answer = ask("/readyz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("document store: nobody there"));
}

TEST_F(AdminPortTest, ManyProbesAreOneQuestion) {
  start();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask("/readyz").status, 200);
  EXPECT_LE(asked_, 2) << "two only where a second passed meanwhile";
}

TEST_F(AdminPortTest, AStoreThatDoesNotAnswerHoldsUpNothingElse) {
  std::promise<void> release;
  held_ = release.get_future().share();
  start();
  std::jthread waits([this] { EXPECT_EQ(ask("/readyz").status, 200); });
  while (asked_ == 0) std::this_thread::yield();
  EXPECT_EQ(ask("/livez").status, 200);
  EXPECT_EQ(ask("/metrics").status, 200);
  release.set_value();
}

TEST_F(AdminPortTest, LeavesItsAddressAndTakesItAwayAgain) {
  start();
  std::ifstream file(dir_.path() + "/admin/work");
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, port_->url());
  port_.reset();
  EXPECT_FALSE(std::filesystem::exists(dir_.path() + "/admin/work"));
}

TEST_F(AdminPortTest, ATakenAddressIsAnErrorThatNamesIt) {
  start();
  const std::string url = port_->url();
  const auto number = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  const auto second = AdminPort::start({.port = number}, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.status().code(), Code::kIo);
  EXPECT_THAT(second.status().message(),
              testing::AllOf(HasSubstr("admin port"), HasSubstr(std::to_string(number))));
}

class AdminLevelTest : public AdminPortTest {
 protected:
  void SetUp() override { ASSERT_TRUE(ops::setup_logging("error", "text").is_ok()); }
  void TearDown() override { ASSERT_TRUE(ops::setup_logging("info", "text").is_ok()); }
  std::string write_tokens() const {
    const std::string path = dir_.path() + "/tokens";
    std::ofstream(path) << "a-token-that-is-long-enough\n";
    return path;
  }
};

TEST_F(AdminLevelTest, TheLevelIsShownAndSet) {
  start();
  EXPECT_EQ(ask("/log-level").body, R"({"level":"error"})");
  EXPECT_EQ(ask("/log-level", "PUT", R"({"level":"debug"})").body, R"({"level":"debug"})");
  EXPECT_EQ(spdlog::get_level(), spdlog::level::debug);
  EXPECT_EQ(ask("/log-level", "PUT", "warn\n").body, R"({"level":"warn"})");
  EXPECT_EQ(spdlog::get_level(), spdlog::level::warn);
  for (const char* wrong : {"loud", "", R"({"level":7})", R"({"lvl":"info"})", "["}) {
    const http::Fetched answer = ask("/log-level", "PUT", wrong);
    EXPECT_EQ(answer.status, 400) << wrong;
    EXPECT_THAT(answer.body, HasSubstr("trace, debug, info, warn, error, off")) << wrong;
  }
  EXPECT_EQ(spdlog::get_level(), spdlog::level::warn);
}

TEST_F(AdminLevelTest, WithTokensItNeedsOne) {
  start({.token_file = write_tokens()});
  EXPECT_EQ(ask("/log-level", "PUT", "debug").status, 401);
  EXPECT_EQ(spdlog::get_level(), spdlog::level::err);
  EXPECT_EQ(
      ask("/log-level", "PUT", "debug", {{"Authorization", "Bearer a-token-that-is-long-enough"}})
          .status,
      200);
  EXPECT_EQ(spdlog::get_level(), spdlog::level::debug);
  for (const char* open : {"/metrics", "/livez", "/readyz", "/health"}) {
    EXPECT_EQ(ask(open).status, 200) << open;
  }
}

TEST_F(AdminLevelTest, ReadingIsNotChangingAndBothAreAudited) {
  const std::string path = dir_.path() + "/tokens";
  const std::string reader = http::add_token(path, "reader", 2).value();
  const std::string operator_token = http::add_token(path, "ops", 4).value();
  start({.token_file = path});
  const auto with = [](const std::string& token) {
    return std::vector<std::pair<std::string, std::string>>{{"Authorization", "Bearer " + token},
                                                            {"X-Request-Id", "r1"}};
  };
  testing::internal::CaptureStderr();
  ASSERT_TRUE(ops::setup_logging("info", "text").is_ok());
  EXPECT_EQ(ask("/log-level", "GET", "", with(reader)).status, 200);
  EXPECT_EQ(ask("/log-level", "PUT", "debug", with(reader)).status, 403);
  EXPECT_EQ(spdlog::get_level(), spdlog::level::info);
  EXPECT_EQ(ask("/log-level", "GET", "", with(operator_token)).status, 403);
  EXPECT_EQ(ask("/log-level", "PUT", "loud", with(operator_token)).status, 400);
  EXPECT_EQ(ask("/log-level", "PUT", "warn", with(operator_token)).status, 200);
  spdlog::default_logger()->flush();
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, testing::ContainsRegex("audit: PUT /log-level from 127.0.0.1:[0-9]+ is refused "
                                           "403: token 'reader' has no scope admin request_id=r1"));
  EXPECT_THAT(said, testing::ContainsRegex("audit: PUT /log-level of token 'ops' from "
                                           "127.0.0.1:[0-9]+ is refused 400: .* request_id=r1"));
  EXPECT_THAT(said, testing::ContainsRegex("audit: log level warn instead of info, as token 'ops' "
                                           "from 127.0.0.1:[0-9]+ asked request_id=r1"));
}

TEST_F(AdminLevelTest, ElsewhereThanOnLoopbackItNeedsTokensToBeAnsweredAtAll) {
  start({.host = "0.0.0.0"});
  EXPECT_EQ(ask("/metrics").status, 200);
  const http::Fetched answer = ask("/log-level", "PUT", "debug");
  EXPECT_EQ(answer.status, 403);
  EXPECT_THAT(answer.body, HasSubstr("admin.token_file"));
  EXPECT_EQ(spdlog::get_level(), spdlog::level::err);
}

TEST_F(AdminLevelTest, PagesOfOtherSitesSetNothing) {
  start();
  EXPECT_EQ(ask("/log-level", "PUT", "debug", {{"Origin", "https://evil.example"}}).status, 403);
  EXPECT_EQ(ask("/log-level", "GET", "", {{"Host", "evil.example"}}).status, 403);
  EXPECT_EQ(spdlog::get_level(), spdlog::level::err);
}

TEST_F(AdminLevelTest, TokensAreReadAgain) {
  const std::string path = write_tokens();
  start({.token_file = path});
  std::ofstream(path) << "another-token-that-is-long-enough\n";
  port_->reload();
  EXPECT_EQ(ask("/log-level", "GET", "", {{"Authorization", "Bearer a-token-that-is-long-enough"}})
                .status,
            401);
  std::ofstream(path) << "short\n";
  port_->reload();
  EXPECT_EQ(
      ask("/log-level", "GET", "", {{"Authorization", "Bearer another-token-that-is-long-enough"}})
          .status,
      200);
}

}  // namespace
}  // namespace ca4::admin
