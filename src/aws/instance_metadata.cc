#include "aws/instance_metadata.h"

#include <fmt/format.h>

namespace ca4::aws {
namespace {

// The service is on the host itself: what does not answer within a second is not there, and off EC2
// everybody waits for it.
constexpr int64_t kConnectTimeoutMs = 1'000;
constexpr int64_t kTimeoutMs = 2'000;

std::string endpoint_of(const Environment& env) {
  std::string endpoint = value_of(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (!endpoint.empty()) return endpoint;
  const std::string mode = value_of(env, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
  return mode == "IPv6" || mode == "ipv6" ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
}

HttpRequest request(const std::string& method, const std::string& url, std::string header) {
  return {.method = method,
          .url = url,
          .headers = {std::move(header)},
          .connect_timeout_ms = kConnectTimeoutMs,
          .timeout_ms = kTimeoutMs,
          .reply_bytes_max = 64U << 10,
          .direct = true};
}

}  // namespace

Result<std::string> instance_metadata(const Environment& env, Http& http, const std::string& path) {
  const std::string disabled = value_of(env, "AWS_EC2_METADATA_DISABLED");
  if (disabled == "true" || disabled == "TRUE" || disabled == "True") {
    return Status(Code::kNotFound, "switched off by AWS_EC2_METADATA_DISABLED");
  }
  const std::string endpoint = endpoint_of(env);
  // A session of a minute is enough for a question; credentials are asked for once an hour or so.
  const Result<HttpReply> token = http.send(
      request("PUT", endpoint + "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60"));
  if (!token) {
    return Status(
        Code::kNotFound,
        fmt::format("no metadata service answers ({}); on EC2, in a container, it needs a "
                    "hop limit of 2",
                    token.status().message()));
  }
  if (token->status != 200) {
    return Status(Code::kNotFound,
                  fmt::format("{} gives no token: status {}", endpoint, token->status));
  }
  const std::string url = fmt::format("{}/latest/meta-data/{}", endpoint, path);
  Result<HttpReply> reply =
      http.send(request("GET", url, "X-aws-ec2-metadata-token: " + token->body));
  if (!reply) return reply.status();
  if (reply->status == 404) return Status(Code::kNotFound, fmt::format("{}: none", url));
  if (reply->status != 200) {
    return Status(Code::kUnavailable, fmt::format("{}: status {}", url, reply->status));
  }
  return std::move(reply->body);
}

}  // namespace ca4::aws
