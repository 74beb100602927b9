// The token that an Amazon MSK cluster with IAM access control takes for SASL OAUTHBEARER. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aws/credentials.h"

namespace ca4::aws {

struct MskToken {
  std::string token;
  int64_t expires_at_ms = 0;  // Unix time
};

// A presigned request for kafka-cluster:Connect in base64url, as AWS's own signers for MSK make it
// (aws-msk-iam-sasl-signer). Good for any cluster of the region that the identity may connect to.
MskToken msk_token(const Credentials& credentials, std::string_view region, int64_t now_us);

}  // namespace ca4::aws
