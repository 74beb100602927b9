#include "base/halves.h"

#include <gmock/gmock.h>

#include <set>
#include <string>
#include <vector>

namespace ca4 {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Things that are numbers, some of them bad; keeps what was done, in order.
class Halves : public testing::Test {
 protected:
  Status run(size_t count) {
    return try_in_halves(
        count, [this](size_t begin, size_t size) { return attempt(begin, size); },
        [this](size_t index, const Status& why) {
          refused_.push_back(std::to_string(index) + ": " + why.message());
          return refuse_;
        });
  }
  Status attempt(size_t begin, size_t size) {
    ++attempts_;
    if (begin <= away_from_ && away_from_ < begin + size) return {Code::kUnavailable, "away"};
    for (size_t i = begin; i < begin + size; ++i) {
      if (bad_.contains(i)) return {code_, "bad"};
    }
    for (size_t i = begin; i < begin + size; ++i) done_.push_back(i);
    return Status::ok();
  }

  std::set<size_t> bad_;
  size_t away_from_ = 1'000'000;
  Code code_ = Code::kTooLarge;
  Status refuse_;
  size_t attempts_ = 0;
  std::vector<size_t> done_;
  std::vector<std::string> refused_;
};

TEST_F(Halves, WhatIsGoodGoesAtOnce) {
  EXPECT_TRUE(run(100).is_ok());
  EXPECT_EQ(attempts_, 1U);
  EXPECT_EQ(done_.size(), 100U);
}

TEST_F(Halves, NothingIsNotTried) {
  EXPECT_TRUE(run(0).is_ok());
  EXPECT_EQ(attempts_, 0U);
}

TEST_F(Halves, TheBadOnesAreFoundAndTheirNeighboursKeepTheirOrder) {
  for (const Code code : {Code::kTooLarge, Code::kInvalidArgument}) {
    code_ = code;
    bad_ = {0, 4};
    done_.clear();
    refused_.clear();
    EXPECT_TRUE(run(6).is_ok());
    EXPECT_THAT(done_, ElementsAre(1, 2, 3, 5));
    EXPECT_THAT(refused_, ElementsAre("0: bad", "4: bad"));
  }
}

TEST_F(Halves, OneOfManyCostsFewCalls) {
  bad_ = {700};
  EXPECT_TRUE(run(1024).is_ok());
  EXPECT_EQ(done_.size(), 1023U);
  EXPECT_EQ(attempts_, 21U);
}

TEST_F(Halves, ATroubleThatMayPassEndsItThere) {
  bad_ = {1};
  away_from_ = 6;
  EXPECT_EQ(run(8).code(), Code::kUnavailable);
  EXPECT_THAT(done_, IsEmpty());
  EXPECT_EQ(attempts_, 1U);
  // Found while halving: what stands before it is done, and the bad one among it refused.
  bad_ = {1, 6};
  away_from_ = 7;
  EXPECT_EQ(try_in_halves(
                8,
                [this](size_t begin, size_t size) {
                  return size == 8 ? Status(Code::kTooLarge, "bad") : attempt(begin, size);
                },
                [this](size_t index, const Status&) {
                  refused_.push_back(std::to_string(index));
                  return Status::ok();
                })
                .code(),
            Code::kUnavailable);
  EXPECT_THAT(done_, ElementsAre(0, 2, 3));
  EXPECT_THAT(refused_, ElementsAre("1"));
}

TEST_F(Halves, ARefusalThatFailsEndsItToo) {
  bad_ = {0};
  refuse_ = Status(Code::kTooLarge, "no room for it");
  EXPECT_EQ(run(2).message(), "no room for it");
  EXPECT_THAT(done_, IsEmpty());
}

}  // namespace
}  // namespace ca4
