#include "base/crc32c.h"

#include <gtest/gtest.h>

namespace ca4 {
namespace {

// RFC 3720, appendix B.4: 32 bytes of zeros, of ones, rising; and the check value of "123456789".
TEST(Crc32c, GivesThePublishedValues) {
  std::string rising;
  for (char c = 0; c < 32; ++c) rising += c;
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
  EXPECT_EQ(crc32c(rising), 0x46DD794EU);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
}

TEST(Crc32c, AsS3WritesIt) {
  EXPECT_EQ(crc32c_base64("hello"), "mnG7TA==");
}

}  // namespace
}  // namespace ca4
