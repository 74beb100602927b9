#include "http/token_file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "base/test_dir.h"

namespace ca4::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// printf ca4-test-token-0001 | sha256sum
constexpr const char* kToken = "ca4-test-token-0001";
constexpr const char* kHash =
    "sha256:50f87b0ded8d0df4286a2b685218486b795ea133ab942f7f8f26fbc79b5b09f0";

class TokenFile : public testing::Test {
 protected:
  Result<std::vector<KnownToken>> read(const std::string& text) const {
    std::ofstream(path_) << text;
    return read_token_file(path_);
  }
  std::string why(const std::string& text) const {
    const auto tokens = read(text);
    EXPECT_EQ(tokens.status().code(), Code::kConfig);
    return tokens.status().message();
  }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  mode_t mode() const {
    struct stat file{};
    EXPECT_EQ(::stat(path_.c_str(), &file), 0);
    return file.st_mode & 07777;
  }

  const TempDir dir_;
  const std::string path_ = dir_ / "tokens";
};

TEST_F(TokenFile, HoldsHashesWithScopesBesideTokensOfBefore) {
  const auto tokens =
      read(std::string("# team\n\ncolab write ") + kHash + "\r\n  dash\tread,admin  " +
           "sha256:" + std::string(64, '0') + " \n  another-plain-token/= \n");
  ASSERT_TRUE(tokens) << tokens.status().message();
  ASSERT_EQ(tokens->size(), 3U);
  const KnownToken& colab = (*tokens)[0];
  EXPECT_EQ(colab.name, "colab");
  EXPECT_EQ(colab.scopes, static_cast<Scopes>(Scope::kWrite));
  EXPECT_EQ(colab.digest, token_digest(kToken));
  EXPECT_FALSE(colab.plain);
  EXPECT_EQ(scopes_text((*tokens)[1].scopes), "read,admin");
  EXPECT_EQ((*tokens)[2].name, "line-5");
  EXPECT_EQ((*tokens)[2].scopes, kAllScopes);
  EXPECT_TRUE((*tokens)[2].plain);
}

TEST_F(TokenFile, SaysTheLineThatIsWrongAndNothingThatStandsThere) {
  const std::string hash = kHash;
  for (const std::string& wrong :
       {std::string("secret-but-too-many words-0123456789"), "colab write " + hash.substr(0, 40),
        "colab write " + hash + "0", "colab write SHA256:" + hash.substr(7),
        "colab write md5:" + hash.substr(7), "colab write,fly " + hash, "colab , " + hash,
        "co/lab write " + hash, std::string(65, 'n') + " write " + hash,
        // printf '' | sha256sum
        std::string("colab write sha256:") +
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "colab write " + hash + " more", "colab write " + hash + " 0/s",
        "colab write " + hash + " 5/m", "colab write " + hash + " 1/s 2/s",
        std::string("s3cret")}) {
    const std::string message = why("# a\n" + wrong + "\n");
    EXPECT_THAT(message, StartsWith(path_ + ":2: ")) << wrong;
    EXPECT_THAT(message, Not(HasSubstr("secret"))) << wrong;
    EXPECT_THAT(message, Not(HasSubstr(hash.substr(7, 20)))) << wrong;
  }
  const std::string twice = "a write " + hash + "\na read sha256:" + std::string(64, '1') + "\n";
  EXPECT_THAT(why(twice), HasSubstr(":2: there is a token 'a' already"));
  EXPECT_THAT(why("a write " + hash + "\nb read " + hash + "\n"), HasSubstr(":2: "));
  EXPECT_THAT(why("# nothing\n"), HasSubstr("nobody could get in"));
  EXPECT_EQ(read_token_file(path_ + ".gone").status().code(), Code::kConfig);
}

TEST_F(TokenFile, WhatCannotBeReadIsToldWithItsReason) {
  EXPECT_THAT(read_token_file(path_ + ".gone").status().message(),
              HasSubstr("can't be read: No such file or directory"));
  const TempDir folder;
  EXPECT_THAT(read_token_file(folder.path()).status().message(),
              HasSubstr("can't be read: Is a directory"));
  EXPECT_THAT(
      add_token(folder.path(), "colab", static_cast<Scopes>(Scope::kWrite)).status().message(),
      HasSubstr("can't be read: Is a directory"));
}

TEST_F(TokenFile, TheSameTokenTwiceIsNoHarm) {
  const auto tokens = read("one-and-the-same-token\none-and-the-same-token\n");
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->size(), 1U);
}

TEST_F(TokenFile, ANewTokenIsAddedAsItsHashForTheOwnerAlone) {
  const auto token = add_token(path_, "colab", static_cast<Scopes>(Scope::kWrite));
  ASSERT_TRUE(token) << token.status().message();
  EXPECT_TRUE(is_made(*token)) << *token;
  EXPECT_EQ(mode(), 0600U);
  EXPECT_THAT(content(), Not(HasSubstr(token->substr(4))));
  const auto other = add_token(path_, "dash", kAllScopes, 50);
  ASSERT_TRUE(other) << other.status().message();
  EXPECT_NE(*token, *other);
  const auto tokens = read_token_file(path_);
  ASSERT_TRUE(tokens);
  ASSERT_EQ(tokens->size(), 2U);
  EXPECT_EQ((*tokens)[0].digest, token_digest(*token));
  EXPECT_EQ((*tokens)[1].digest, token_digest(*other));
  EXPECT_EQ((*tokens)[1].scopes, kAllScopes);
  EXPECT_EQ((*tokens)[0].requests_per_s_max, 0);
  EXPECT_EQ((*tokens)[1].requests_per_s_max, 50);
  EXPECT_THAT(content(), testing::EndsWith(" 50/s\n"));
}

TEST_F(TokenFile, WhatWasThereStays) {
  std::ofstream(path_) << "# team\nplain-token-of-before";  // without a final newline
  std::filesystem::permissions(path_, std::filesystem::perms(0644));
  ASSERT_TRUE(add_token(path_, "new", kAllScopes));
  EXPECT_THAT(content(), StartsWith("# team\nplain-token-of-before\nnew write,read,admin sha256:"));
  EXPECT_EQ(mode(), 0640U) << "what holds tokens is not for everybody";
  std::filesystem::create_symlink(path_, dir_ / "link");
  ASSERT_TRUE(add_token(dir_ / "link", "third", kAllScopes));
  EXPECT_TRUE(std::filesystem::is_symlink(dir_ / "link"));
  EXPECT_THAT(content(), HasSubstr("\nthird "));
}

TEST_F(TokenFile, NothingIsWrittenOverWhatCannotBeUnderstood) {
  const std::string bad = "colab write sha256:1234\n";
  std::ofstream(path_) << bad;
  EXPECT_EQ(add_token(path_, "new", kAllScopes).status().code(), Code::kConfig);
  EXPECT_EQ(content(), bad);
}

TEST_F(TokenFile, AFullOneTakesNoMoreAndCanStillBeRead) {
  std::ofstream file(path_);
  for (int i = 0; i < 1000; ++i) file << "a-token-of-before-" << i << "\n";
  file.close();
  EXPECT_EQ(add_token(path_, "one-more", kAllScopes).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(read_token_file(path_));
}

TEST_F(TokenFile, BadNamesAndTakenOnesAreRefused) {
  for (const std::string& name : {std::string(), std::string("two words"), std::string("a,b"),
                                  std::string("a\nb"), std::string(65, 'n')}) {
    EXPECT_EQ(add_token(path_, name, kAllScopes).status().code(), Code::kInvalidArgument) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(add_token(path_, "a", kAllScopes));
  EXPECT_THAT(add_token(path_, "a", kAllScopes).status().message(), HasSubstr("'a' already"));
  EXPECT_EQ(add_token(dir_ / "none/tokens", "a", kAllScopes).status().code(), Code::kIo);
}

TEST_F(TokenFile, ThoseWhoAddAtTheSameTimeLoseNothing) {
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([this, i] {
        const auto added = add_token(path_, "t" + std::to_string(i), kAllScopes);
        EXPECT_TRUE(added) << added.status().message();
      });
    }
  }
  EXPECT_EQ(read_token_file(path_).value().size(), 8U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_.path()), {}), 1);
}

TEST(MadeTokens, AreToldFromOthers) {
  const std::string made = make_token().value();
  EXPECT_TRUE(is_made(made));
  EXPECT_EQ(made.size(), 68U);
  EXPECT_FALSE(is_made(made + "0"));
  EXPECT_FALSE(is_made(made.substr(1)));
  EXPECT_FALSE(is_made("ca4_" + std::string(64, 'g')));
  EXPECT_FALSE(is_made("plain-token-0123456789"));
}

TEST(ScopesText, GoesBothWays) {
  EXPECT_EQ(parse_scopes("read,write").value(), parse_scopes("write,read").value());
  EXPECT_EQ(scopes_text(parse_scopes("admin,write").value()), "write,admin");
  for (const char* wrong : {"", "all", "write,", ",read", "write read", "Write"}) {
    EXPECT_FALSE(parse_scopes(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace ca4::http
