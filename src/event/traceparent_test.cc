#include "event/traceparent.h"

#include <gtest/gtest.h>

#include <string>

namespace ca4::event {
namespace {

const std::string kGood = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Traceparent, TakesTheExampleOfTheStandard) {
  EXPECT_TRUE(is_traceparent(kGood));
}

TEST(Traceparent, RefusesWhatIsMalformed) {
  EXPECT_FALSE(is_traceparent(""));
  EXPECT_FALSE(is_traceparent(kGood.substr(0, 54)));
  EXPECT_FALSE(is_traceparent(kGood + "0"));
  EXPECT_FALSE(is_traceparent(kGood + "-00"));  // version 00 has nothing behind its flags
  EXPECT_FALSE(is_traceparent("00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01"));
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736 00f067aa0ba902b7-01"));
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0x"));
  EXPECT_FALSE(is_traceparent("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
}

TEST(Traceparent, RefusesIdsOfZeros) {
  EXPECT_FALSE(is_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
  EXPECT_FALSE(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
}

TEST(Traceparent, TakesALaterVersionWithMoreBehindIt) {
  const std::string later = "cc" + kGood.substr(2);
  EXPECT_TRUE(is_traceparent(later));
  EXPECT_TRUE(is_traceparent(later + "-what-comes-then"));
  EXPECT_FALSE(is_traceparent(later + ".what-comes-then"));
  EXPECT_FALSE(is_traceparent(later + "-" + std::string(300, 'a')));
}

}  // namespace
}  // namespace ca4::event
