#include "base/status.h"

#include <gtest/gtest.h>

namespace ca4 {
namespace {

TEST(Status, SaysItsCodeAndMessage) {
  EXPECT_EQ(Status().to_string(), "ok");
  EXPECT_EQ(Status(Code::kIo, "disk full").to_string(), "io: disk full");
}

TEST(Status, ExitCodesAreThoseOfTheManual) {
  EXPECT_EQ(exit_code(Code::kOk), 0);
  EXPECT_EQ(exit_code(Code::kUsage), 2);
  EXPECT_EQ(exit_code(Code::kConfig), 78);
  EXPECT_EQ(exit_code(Code::kIo), 1);
}

TEST(Result, HoldsEitherAValueOrTheReason) {
  Result<int> good = 3;
  Result<int> bad = Status(Code::kNotFound, "no such record");
  EXPECT_TRUE(good.status().is_ok());
  EXPECT_EQ(*good, 3);
  EXPECT_FALSE(bad.is_ok());
  EXPECT_EQ(bad.status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ca4
