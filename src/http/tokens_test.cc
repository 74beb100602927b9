#include "http/tokens.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/test_dir.h"

namespace ca4::http {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

constexpr const char* kFirst = "first-token-0123456789";
constexpr const char* kSecond = "second-token-0123456789";

class TokensTest : public testing::Test {
 protected:
  void SetUp() override {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(said_, /*force_flush=*/true)));
  }
  void TearDown() override { spdlog::set_default_logger(before_); }

  Status load(const std::string& text) {
    std::ofstream(path_) << text;
    return tokens_->load(path_);
  }
  // A token of these scopes, which is in force.
  std::string made(const std::string& name, const std::string& scopes) {
    const std::string token = add_token(path_, name, parse_scopes(scopes).value()).value();
    EXPECT_TRUE(tokens_->load(path_).is_ok());
    return token;
  }
  Response ask(const std::string& authorization, Scope scope = Scope::kWrite,
               const std::string& peer = "203.0.113.9:5") {
    Request request;
    request.method = "POST";
    request.path = "/metadata";
    request.peer = peer;
    if (!authorization.empty()) request.headers.emplace_back("authorization", authorization);
    Response got;
    tokens_->guard(scope, [this](const Request& let_in, const Respond& respond) {
      caller_ = let_in.caller;
      respond({.status = 200});
    })(std::move(request), [&](Response response) { got = std::move(response); });
    return got;
  }
  bool allows(const std::string& authorization) { return ask(authorization).status == 200; }
  static std::string bearer(const std::string& token) { return "Bearer " + token; }
  void use(TokensOptions options) {
    options.refused = [this](std::string_view reason) { reasons_.emplace_back(reason); };
    tokens_ = std::make_unique<Tokens>(std::move(options));
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "tokens";
  std::unique_ptr<Tokens> tokens_ = std::make_unique<Tokens>();
  std::vector<std::string> reasons_;
  std::string caller_;
  std::ostringstream said_;
  const std::shared_ptr<spdlog::logger> before_ = spdlog::default_logger();
};

TEST_F(TokensTest, WithoutAFileEverybodyMay) {
  EXPECT_FALSE(tokens_->required());
  EXPECT_TRUE(allows(""));
  EXPECT_EQ(caller_, "");
}

TEST_F(TokensTest, EachTokenOfTheFileIsGood) {
  ASSERT_TRUE(load(std::string("# laptop\n") + kFirst + "\n\n  " + kSecond + "  \r\n").is_ok());
  EXPECT_TRUE(tokens_->required());
  EXPECT_TRUE(allows(bearer(kFirst)));
  EXPECT_EQ(caller_, "line-2");
  EXPECT_TRUE(allows(std::string("bearer ") + kSecond));
  EXPECT_EQ(caller_, "line-4");
  for (const Scope scope : {Scope::kWrite, Scope::kRead, Scope::kAdmin}) {
    EXPECT_EQ(ask(bearer(kFirst), scope).status, 200);
  }
}

TEST_F(TokensTest, AnythingElseIsNot) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  for (const std::string& header :
       {std::string(), std::string(kFirst), std::string("Bearer"), std::string("Bearer "),
        bearer("first-token-012345678"), bearer(std::string(kFirst) + "x"),
        std::string("Basic ") + kFirst, bearer(kSecond)}) {
    EXPECT_FALSE(allows(header)) << header;
  }
}

TEST_F(TokensTest, ABadFileLeavesTheOldTokens) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  EXPECT_EQ(load(std::string(kSecond) + "\nshort\n").code(), Code::kConfig);
  EXPECT_EQ(tokens_->load(path_ + ".gone").code(), Code::kConfig);
  EXPECT_TRUE(allows(bearer(kFirst)));
  EXPECT_FALSE(allows(bearer(kSecond)));
}

TEST_F(TokensTest, LoadingAgainExchangesThem) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  ASSERT_TRUE(load(std::string(kSecond) + "\n").is_ok());
  EXPECT_FALSE(allows(bearer(kFirst)));
  EXPECT_TRUE(allows(bearer(kSecond)));
}

TEST_F(TokensTest, AHashLetsItsTokenInForItsScopesOnly) {
  const std::string colab = made("colab", "write");
  const std::string dash = made("dash", "read");
  EXPECT_EQ(ask(bearer(colab), Scope::kWrite).status, 200);
  EXPECT_EQ(caller_, "colab");
  EXPECT_EQ(ask(bearer(dash), Scope::kRead).status, 200);
  const Response refused = ask(bearer(dash), Scope::kWrite);
  EXPECT_EQ(refused.status, 403);
  EXPECT_THAT(refused.body, HasSubstr("the token 'dash' has no scope write, only read"));
  EXPECT_THAT(refused.headers,
              Contains(Pair("WWW-Authenticate",
                            HasSubstr(R"(error="insufficient_scope", scope="write")"))));
  EXPECT_EQ(ask(bearer(colab), Scope::kRead).status, 403);
  EXPECT_EQ(ask(bearer(colab), Scope::kAdmin).status, 403);
  // The line itself is no token.
  EXPECT_EQ(ask(bearer("sha256:" + std::string(64, '0'))).status, 401);
}

TEST_F(TokensTest, RefusalsSayWhyAndAreCountedAndAudited) {
  use({});
  const std::string dash = made("dash", "read");
  const Response missing = ask("");
  EXPECT_EQ(missing.status, 401);
  EXPECT_THAT(missing.headers, Contains(Pair("WWW-Authenticate", "Bearer realm=\"ca4\"")));
  const Response unknown = ask(bearer(kSecond));
  EXPECT_EQ(unknown.status, 401);
  EXPECT_THAT(unknown.body, HasSubstr("none of this server's"));
  EXPECT_THAT(unknown.headers,
              Contains(Pair("WWW-Authenticate", "Bearer realm=\"ca4\", error=\"invalid_token\"")));
  EXPECT_EQ(ask(bearer(dash)).status, 403);
  EXPECT_THAT(reasons_, testing::ElementsAre("missing", "unknown", "scope"));
  const std::string said = said_.str();
  EXPECT_THAT(said, HasSubstr("audit: POST /metadata from 203.0.113.9:5 is refused 401: no token"));
  EXPECT_THAT(said, HasSubstr("is refused 401: a token that is none"));
  EXPECT_THAT(said, HasSubstr("is refused 403: token 'dash' has no scope write"));
  EXPECT_THAT(said, Not(HasSubstr(kSecond)));
  EXPECT_THAT(said, Not(HasSubstr(dash.substr(4))));
}

TEST_F(TokensTest, GuessesFromThousandsOfAddressesDoNotFillTheLog) {
  made("dash", "read");
  constexpr int kAddresses = 2000;
  for (int i = 0; i < kAddresses; ++i) {
    EXPECT_EQ(
        ask(bearer(kSecond), Scope::kWrite, fmt::format("203.0.{}.{}:5", i / 250, i % 250)).status,
        401);
  }
  const std::string said = said_.str();
  const auto lines = std::count(said.begin(), said.end(), '\n');
  EXPECT_GE(lines, 200);
  EXPECT_LT(lines, kAddresses / 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ask(bearer(kSecond), Scope::kWrite, "203.0.113.9:5");
  EXPECT_THAT(said_.str().substr(said.size()),
              testing::ContainsRegex("a token that is none \\(and [0-9]+ like it\\)"));
}

TEST_F(TokensTest, AnAnswerSaysToTheLogByWhoseTokenItWas) {
  EXPECT_EQ(ask(bearer(made("colab", "write"))).caller, "colab");
  EXPECT_EQ(ask("").caller, "");
}

TEST_F(TokensTest, OneTokenAtATimeIsHeldToItsRate) {
  use({});
  const std::string busy = add_token(path_, "busy", kAllScopes, 2).value();
  const std::string calm = made("calm", "write");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ask(bearer(busy)).status, 200) << i;
  const Response over = ask(bearer(busy));
  EXPECT_EQ(over.status, 429);
  EXPECT_THAT(over.headers, Contains(Pair("Retry-After", "1")));
  EXPECT_THAT(over.body, HasSubstr("the token 'busy' may make 2 requests a second"));
  EXPECT_EQ(ask(bearer(calm)).status, 200);
  for (int i = 0; i < 50; ++i) ask(bearer(busy));
  const std::string said = said_.str();
  EXPECT_EQ(said.find("more than 2 requests"), said.rfind("more than 2 requests")) << said;
  EXPECT_THAT(reasons_, Contains("rate"));
}

TEST_F(TokensTest, AStrangerIsToldFromTheHeadAlone) {
  use({});
  Request request;
  request.peer = "203.0.113.9:5";
  EXPECT_FALSE(tokens_->refuse_early(request)) << "without a file everybody may";
  const std::string reader = made("dash", "read");
  const std::optional<Response> refused = tokens_->refuse_early(request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 401);
  EXPECT_THAT(refused->headers, Contains(Pair("WWW-Authenticate", HasSubstr("Bearer"))));
  EXPECT_THAT(reasons_, testing::ElementsAre("missing"));
  request.headers.emplace_back("Authorization", bearer(reader));
  EXPECT_FALSE(tokens_->refuse_early(request)) << "what it may do is the route's business";
}

TEST_F(TokensTest, GuessingIsSlowedDownForTheOneWhoGuesses) {
  use({});
  std::ofstream(path_) << kFirst << "\n";
  const std::string colab = made("colab", "write");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask(bearer(kSecond)).status, 401) << i;
  const Response slower = ask(bearer(kSecond));
  EXPECT_EQ(slower.status, 429);
  EXPECT_THAT(slower.headers, Contains(Pair("Retry-After", "1")));
  // Not even the right one of those that can be guessed.
  EXPECT_EQ(ask(bearer(kFirst)).status, 429);
  // What nobody guesses is not kept out by others at the same address.
  EXPECT_EQ(ask(bearer(colab)).status, 200);
  EXPECT_EQ(ask(bearer(kFirst), Scope::kWrite, "203.0.113.10:5").status, 200);
  EXPECT_EQ(ask(bearer(kSecond), Scope::kWrite, "203.0.113.10:5").status, 401);
  EXPECT_EQ(reasons_.back(), "unknown");
  EXPECT_THAT(reasons_, Contains("attempts").Times(2));
}

TEST_F(TokensTest, WhoSendsNoTokenGuessesNone) {
  use({});
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ask("").status, 401) << i;
  EXPECT_EQ(ask(bearer(kFirst)).status, 200);
}

TEST_F(TokensTest, TheHeadAloneDoesNotTellARightGuessFromAWrongOne) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  const std::string colab = made("colab", "write");
  const auto early = [this](const std::string& token) {
    Request request;
    request.peer = "203.0.113.9:5";
    request.headers.emplace_back("Authorization", bearer(token));
    const std::optional<Response> refused = tokens_->refuse_early(request);
    return refused ? refused->status : 0;
  };
  EXPECT_EQ(early(kFirst), 0);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(early(kSecond), 401) << i;
  EXPECT_EQ(early(kSecond), 429);
  EXPECT_EQ(early(kFirst), 429);
  EXPECT_EQ(early(colab), 0);
}

TEST_F(TokensTest, TokensThatStandInTheFileAreSaidWithHowOpenItIs) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  std::filesystem::permissions(path_, std::filesystem::perms(0644));
  tokens_->reload(path_);
  EXPECT_THAT(said_.str(), HasSubstr("1 of 1 tokens in " + path_ +
                                     " stand there as they are, for everybody on this machine"));
  std::filesystem::permissions(path_, std::filesystem::perms(0600));
  said_.str("");
  tokens_->reload(path_);
  EXPECT_THAT(said_.str(), HasSubstr("stand there as they are; "));
  EXPECT_THAT(said_.str(), Not(HasSubstr(kFirst)));
}

}  // namespace
}  // namespace ca4::http
