// The token that an Amazon MSK cluster with IAM access control takes for SASL OAUTHBEARER. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace ca4::aws {

// Whose name the request carries. Secret.
struct Keys {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // empty: none
};

// What a signature holds for.
struct Scope {
  std::string region;
  std::string service;
};

// A GET with nothing in its body.
struct PresignedGet {
  std::string host;
  std::string path;  // encoded
  std::map<std::string, std::string> query;
  // "UNSIGNED-PAYLOAD" for S3; empty: the hash of no bytes.
  std::string payload_sha256 = {};
};

// The URL's query that makes the request valid for `expires_s` by itself: AWS Signature Version 4
// (IAM User Guide, "Create a signed AWS API request", with the parameters in the query).
std::string presigned_query(const PresignedGet& request, const Keys& keys, const Scope& scope,
                            int64_t now_us, int64_t expires_s);

struct MskToken {
  std::string token;
  int64_t expires_at_ms = 0;  // Unix time
};

// A presigned request for kafka-cluster:Connect in base64url, as AWS's own signers for MSK make it
// (aws-msk-iam-sasl-signer). Good for any cluster of the region that the identity may connect to.
MskToken msk_token(const Keys& keys, std::string_view region, int64_t now_us);

}  // namespace ca4::aws
