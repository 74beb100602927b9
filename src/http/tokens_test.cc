#include "http/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/test_dir.h"

namespace ca4::http {
namespace {

using testing::HasSubstr;

constexpr const char* kFirst = "first-token-0123456789";
constexpr const char* kSecond = "second-token-0123456789";

class TokensTest : public testing::Test {
 protected:
  Status load(const std::string& text) {
    std::ofstream(path_) << text;
    return tokens_.load(path_);
  }
  bool allows(const std::string& authorization) const {
    Request request;
    if (!authorization.empty()) request.headers.emplace_back("authorization", authorization);
    return tokens_.allow(request);
  }
  static std::string bearer(const std::string& token) { return "Bearer " + token; }

  const TempDir dir_;
  const std::string path_ = dir_ / "tokens";
  Tokens tokens_;
};

TEST_F(TokensTest, WithoutAFileEverybodyMay) {
  EXPECT_FALSE(tokens_.required());
  EXPECT_TRUE(allows(""));
}

TEST_F(TokensTest, EachTokenOfTheFileIsGood) {
  ASSERT_TRUE(load(std::string("# laptop\n") + kFirst + "\n\n  " + kSecond + "  \r\n").is_ok());
  EXPECT_TRUE(tokens_.required());
  EXPECT_TRUE(allows(bearer(kFirst)));
  EXPECT_TRUE(allows(std::string("bearer ") + kSecond));
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

TEST_F(TokensTest, ABadFileIsNamedWithItsLineAndTheOldTokensStay) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  const Status shorter = load(std::string(kSecond) + "\nshort\n");
  EXPECT_EQ(shorter.code(), Code::kConfig);
  EXPECT_THAT(shorter.message(), HasSubstr(path_ + ":2: "));
  EXPECT_THAT(shorter.message(), testing::Not(HasSubstr("short\"")));
  EXPECT_EQ(load("# nothing\n").code(), Code::kConfig);
  EXPECT_EQ(load("0123456789 0123456789\n").code(), Code::kConfig);
  EXPECT_EQ(tokens_.load(path_ + ".gone").code(), Code::kConfig);
  EXPECT_TRUE(allows(bearer(kFirst)));
  EXPECT_FALSE(allows(bearer(kSecond)));
}

TEST_F(TokensTest, LoadingAgainExchangesThem) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  ASSERT_TRUE(load(std::string(kSecond) + "\n").is_ok());
  EXPECT_FALSE(allows(bearer(kFirst)));
  EXPECT_TRUE(allows(bearer(kSecond)));
}

TEST_F(TokensTest, TheGuardAnswers401WithTheScheme) {
  ASSERT_TRUE(load(std::string(kFirst) + "\n").is_ok());
  Response got;
  bool reached = false;
  const Handler guarded = tokens_.guard([&](const Request&, const Respond&) { reached = true; });
  guarded(Request{}, [&](Response response) { got = std::move(response); });
  EXPECT_FALSE(reached);
  EXPECT_EQ(got.status, 401);
  EXPECT_THAT(got.headers,
              testing::Contains(testing::Pair("WWW-Authenticate", HasSubstr("Bearer"))));
}

}  // namespace
}  // namespace ca4::http
