// AWS Signature Version 4, as header and as query. Pure. Specification: "AWS Signature Version 4
// for API requests" in the IAM User Guide, and for S3 "Authenticating Requests" in its API
// Reference.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "aws/credentials.h"

namespace ca4::aws {

// Percent-encodes all but A-Z a-z 0-9 - _ . ~, and '/' where it is kept: the rule of SigV4.
std::string uri_encode(std::string_view text, bool keep_slash);

// Names and values, not encoded. One value a name, which is all that we send.
using Query = std::map<std::string, std::string>;

// The query as it is signed and must stand in the URL, without '?': encoded, in the order of the
// encoded names.
std::string query_text(const Query& query);

struct Scope {
  std::string region;
  std::string service;  // "s3"
};

struct SignableRequest {
  std::string method;
  std::string path;  // not encoded; the URL must hold uri_encode(path, true): S3's rule
  Query query = {};
  std::map<std::string, std::string> headers =
      {};                           // names in lower case; with "host", all are signed
  std::string payload_sha256 = {};  // hex, or "UNSIGNED-PAYLOAD"
};

// Adds x-amz-date, x-amz-security-token where there is one, and authorization to the headers.
void sign(SignableRequest& request, const Credentials& credentials, const Scope& scope,
          int64_t time_us);

// The query that makes the request valid for `expires_s` by itself, as query_text gives it, the
// signature behind.
std::string presign(const SignableRequest& request, const Credentials& credentials,
                    const Scope& scope, int64_t time_us, int64_t expires_s);

}  // namespace ca4::aws
