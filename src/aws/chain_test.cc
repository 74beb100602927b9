#include "aws/chain.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "aws/test_support.h"

namespace ca4::aws {
namespace {

using testing::HasSubstr;

constexpr int64_t kMinuteUs = 60'000'000;

Source none(const char* name) {
  return {name, [] { return Status(Code::kNotFound, "nothing here"); }};
}

// Gives the keys "1", "2", … for an hour each; or fails.
class Counting {
 public:
  explicit Counting(const Clock& clock) : clock_(clock) {}

  Source source() {
    return {"counting", [this]() -> Result<Credentials> {
              ++asked;
              if (away) return Status(Code::kUnavailable, "away");
              Credentials credentials{.access_key_id = std::to_string(++given),
                                      .secret_access_key = "s"};
              if (expires) credentials.expires_at_us = clock_.now_us() + 60 * kMinuteUs;
              return credentials;
            }};
  }

  std::atomic<int> asked = 0;
  std::atomic<int> given = 0;
  std::atomic<bool> away = false;
  bool expires = true;

 private:
  const Clock& clock_;
};

class ChainTest : public testing::Test {
 protected:
  std::string key() {
    const Result<Credentials> credentials = chain_.get();
    return credentials ? credentials->access_key_id : credentials.status().to_string();
  }

  ManualClock clock_{1'795'460'297'000'000};
  Counting counting_{clock_};
  Chain chain_{{none("first"), counting_.source()}, clock_};
};

TEST_F(ChainTest, AsksOnceUntilFiveMinutesBeforeTheEnd) {
  EXPECT_EQ(key(), "1");
  clock_.advance_us(54 * kMinuteUs);
  EXPECT_EQ(key(), "1");
  clock_.advance_us(2 * kMinuteUs);
  EXPECT_EQ(key(), "2");
  EXPECT_EQ(counting_.asked, 2);
}

TEST_F(ChainTest, KeysWithoutAnEndStay) {
  counting_.expires = false;
  EXPECT_EQ(key(), "1");
  clock_.advance_us(int64_t{60 * 24 * 365} * kMinuteUs);
  EXPECT_EQ(key(), "1");
}

TEST_F(ChainTest, ARenewalThatFailsLeavesTheOldKeysToTheirEndAndIsTriedNowAndThen) {
  EXPECT_EQ(key(), "1");
  counting_.away = true;
  clock_.advance_us(56 * kMinuteUs);
  EXPECT_EQ(key(), "1");
  EXPECT_EQ(key(), "1");
  EXPECT_EQ(counting_.asked, 2);  // not with every request
  clock_.advance_us(kMinuteUs);
  EXPECT_EQ(key(), "1");
  EXPECT_EQ(counting_.asked, 3);
  clock_.advance_us(4 * kMinuteUs);
  EXPECT_THAT(key(), HasSubstr("away"));
  counting_.away = false;
  EXPECT_EQ(key(), "2");
}

TEST_F(ChainTest, RefusedKeysAreReadAnew) {
  EXPECT_EQ(key(), "1");
  chain_.refused();
  EXPECT_EQ(key(), "2");
  EXPECT_EQ(key(), "2");
}

TEST_F(ChainTest, ASourceThatIsSetUpAndFailsIsNotPassedOver) {
  Chain chain(
      {{"web identity", [] { return Status(Code::kConfig, "no such role"); }}, counting_.source()},
      clock_);
  const Status status = chain.get().status();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr("(web identity): no such role"));
  EXPECT_EQ(counting_.asked, 0);
}

TEST_F(ChainTest, NobodyIsNamedWithEveryPlaceThatWasLookedAt) {
  FakeHttp http(no_reply);
  const auto chain = default_credentials(environment_of({{"HOME", "/nowhere"}}), "", http, clock_);
  const Status status = chain->get().status();
  EXPECT_EQ(status.code(), Code::kConfig);
  for (const char* place :
       {"AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/.aws/credentials",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "169.254.169.254"}) {
    EXPECT_THAT(status.message(), HasSubstr(place));
  }
}

TEST_F(ChainTest, AChosenProfileIsTheOnlyPlace) {
  FakeHttp http(no_reply);
  const Environment env = environment_of(
      {{"HOME", "/nowhere"}, {"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "S"}});
  EXPECT_TRUE(default_credentials(env, "", http, clock_)->get());
  EXPECT_THAT(default_credentials(env, "p", http, clock_)->get().status().message(),
              HasSubstr("no profile 'p'"));
  EXPECT_TRUE(http.asked().empty());
}

TEST_F(ChainTest, ThreadsShareOneRequest) {
  std::vector<std::jthread> threads;
  std::atomic<int> right = 0;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) right += key() == "1" ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(right, 1'600);
  EXPECT_EQ(counting_.asked, 1);
}

}  // namespace
}  // namespace ca4::aws
