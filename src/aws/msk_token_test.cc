#include "aws/msk_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <openssl/evp.h>

#include <algorithm>

#include "base/clock.h"

namespace ca4::aws {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string url_of(const MskToken& token) {
  std::string base64 = token.token;
  std::replace(base64.begin(), base64.end(), '-', '+');
  std::replace(base64.begin(), base64.end(), '_', '/');
  base64.append((4 - base64.size() % 4) % 4, '=');
  std::string url(base64.size(), '\0');
  const int bytes = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(url.data()),
                                    reinterpret_cast<const unsigned char*>(base64.data()),
                                    static_cast<int>(base64.size()));
  url.resize(static_cast<size_t>(std::max(bytes, 0)));
  while (!url.empty() && url.back() == '\0') url.pop_back();
  return url;
}

// The expected texts are what aws-msk-iam-sasl-signer-python 1.0.2 makes of the same keys and time.
class MskTokens : public testing::Test {
 protected:
  const int64_t now_us_ = parse_rfc3339("2026-11-23T18:58:17.9Z").value();
  Credentials keys_{.access_key_id = "AKIDEXAMPLE",
                    .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                    .session_token = {}};
};

TEST_F(MskTokens, IsThePresignedUrlThatAwssOwnSignerMakes) {
  const MskToken token = msk_token(keys_, "eu-central-1", now_us_);
  EXPECT_EQ(url_of(token),
            "https://kafka.eu-central-1.amazonaws.com/?Action=kafka-cluster%3AConnect&"
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261123%2F"
            "eu-central-1%2Fkafka-cluster%2Faws4_request&X-Amz-Date=20261123T185817Z&"
            "X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="
            "d02921c2fa65aa6640547c4cd4d3e7183346ef0ef94efc887f8f4c22b0e5d3e9&User-Agent=ca4");
  EXPECT_EQ(token.expires_at_ms, 1'795'461'197'000);
  EXPECT_THAT(token.token, Not(HasSubstr("=")));
}

TEST_F(MskTokens, ASessionsTokenIsSignedToo) {
  keys_.session_token = "session+token/==";
  EXPECT_THAT(url_of(msk_token(keys_, "eu-central-1", now_us_)),
              HasSubstr("&X-Amz-Security-Token=session%2Btoken%2F%3D%3D&X-Amz-SignedHeaders=host&"
                        "X-Amz-Signature="
                        "fc64b57106b6e2addceb0c0f9b851c35dc4a691eba540336a19b6fca5e396012&"));
}

}  // namespace
}  // namespace ca4::aws
