// The sources that are asked over HTTP: STS, a container's agent, the instance.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <pugixml.hpp>

#include "aws/instance_metadata.h"
#include "aws/region.h"
#include "aws/sigv4.h"
#include "aws/sources.h"
#include "base/clock.h"

namespace ca4::aws {
namespace {

using Json = nlohmann::json;

constexpr size_t kReplyBytesMax = 256U << 10;

std::string text_of(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string() ? member->get<std::string>() : "";
}

Status incomplete(std::string_view who) {
  return {Code::kUnavailable, fmt::format("{}: an answer without keys and their expiry", who)};
}

Result<Credentials> checked(Credentials credentials, const std::string& expiration,
                            std::string_view who) {
  const Result<int64_t> expires = parse_rfc3339(expiration);
  if (!expires || credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return incomplete(who);
  }
  credentials.expires_at_us = *expires;
  return credentials;
}

// The JSON that a container's agent and an instance answer with.
Result<Credentials> read_json(const std::string& body, const std::string& who) {
  const Json json = Json::parse(body, nullptr, false);
  if (!json.is_object()) return incomplete(who);
  // "Success", where the service says it at all.
  const std::string code = text_of(json, "Code");
  if (!code.empty() && code != "Success") {
    return Status(Code::kUnavailable,
                  fmt::format("{}: {} {}", who, code, text_of(json, "Message")));
  }
  return checked({.access_key_id = text_of(json, "AccessKeyId"),
                  .secret_access_key = text_of(json, "SecretAccessKey"),
                  .session_token = text_of(json, "Token"),
                  .source = who},
                 text_of(json, "Expiration"), who);
}

std::string sts_url(const Environment& env, const std::string& region) {
  for (const char* name : {"AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"}) {
    std::string url = value_of(env, name);
    if (url.empty()) continue;
    return url.ends_with('/') ? url : url + '/';
  }
  if (region.empty()) return "https://sts.amazonaws.com/";
  return fmt::format("https://sts.{}.{}/", region, dns_suffix(region));
}

Result<Credentials> read_sts(const HttpReply& reply, const std::string& who) {
  pugi::xml_document xml;
  if (!xml.load_buffer(reply.body.data(), reply.body.size())) {
    return Status(Code::kUnavailable, fmt::format("{}: status {}", who, reply.status));
  }
  const pugi::xml_node root = xml.document_element();
  if (reply.status != 200) {
    const pugi::xml_node error = root.child("Error");
    const Code code = reply.status < 500 ? Code::kConfig : Code::kUnavailable;
    return Status(code, fmt::format("{}: {}: {}", who, error.child_value("Code"),
                                    error.child_value("Message")));
  }
  const pugi::xml_node given = root.child("AssumeRoleWithWebIdentityResult").child("Credentials");
  return checked({.access_key_id = given.child_value("AccessKeyId"),
                  .secret_access_key = given.child_value("SecretAccessKey"),
                  .session_token = given.child_value("SessionToken"),
                  .source = who},
                 given.child_value("Expiration"), who);
}

// Keys must not be asked for in the clear, except of the host itself: the addresses that the AWS
// SDKs allow.
bool may_ask(const std::string& url) {
  if (url.starts_with("https://")) return true;
  for (const char* host :
       {"127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"}) {
    const std::string start = fmt::format("http://{}", host);
    if (!url.starts_with(start)) continue;
    const std::string_view rest = std::string_view(url).substr(start.size());
    if (rest.empty() || rest.front() == ':' || rest.front() == '/') return true;
  }
  return false;
}

Result<std::string> container_token(const Environment& env) {
  const std::string path = value_of(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  if (path.empty()) return value_of(env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  // Read each time: the token is renewed in the file.
  Result<std::string> token = read_small_file(path);
  if (!token) return Status(Code::kConfig, token.status().message());
  while (!token->empty() && (token->back() == '\n' || token->back() == '\r')) token->pop_back();
  return token;
}

}  // namespace

Result<Credentials> assume_role(const Environment& env, const WebIdentity& identity,
                                const std::string& region, Http& http) {
  if (identity.role_arn.empty()) {
    return Status(Code::kConfig, fmt::format("there is a web identity token in {}, but no role to "
                                             "take with it (AWS_ROLE_ARN)",
                                             identity.token_file));
  }
  // Read each time: the token is renewed in the file.
  const Result<std::string> token = read_small_file(identity.token_file);
  if (!token) return Status(Code::kConfig, token.status().message());
  const std::string session = identity.session_name.empty() ? "ca4" : identity.session_name;
  const std::string body = query_text({{"Action", "AssumeRoleWithWebIdentity"},
                                       {"Version", "2011-06-15"},
                                       {"RoleArn", identity.role_arn},
                                       {"RoleSessionName", session},
                                       {"WebIdentityToken", *token}});
  const std::string url = sts_url(env, region);
  const Result<HttpReply> reply =
      http.send({.method = "POST",
                 .url = url,
                 .headers = {"Content-Type: application/x-www-form-urlencoded"},
                 .body = body,
                 .timeout_ms = 20'000,  // an answer takes a tenth of a second
                 .reply_bytes_max = kReplyBytesMax});
  if (!reply) return reply.status();
  return read_sts(*reply, fmt::format("STS at {} for {}", url, identity.role_arn));
}

Result<Credentials> from_web_identity(const Environment& env, Http& http) {
  const std::string token_file = value_of(env, "AWS_WEB_IDENTITY_TOKEN_FILE");
  if (token_file.empty()) {
    return Status(Code::kNotFound, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
  }
  return assume_role(
      env, {token_file, value_of(env, "AWS_ROLE_ARN"), value_of(env, "AWS_ROLE_SESSION_NAME")},
      environment_region(env), http);
}

Result<Credentials> from_container(const Environment& env, Http& http) {
  const std::string relative = value_of(env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string full = value_of(env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (relative.empty() && full.empty()) {
    return Status(Code::kNotFound,
                  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and _FULL_URI are not set");
  }
  const std::string url = relative.empty() ? full : "http://169.254.170.2" + relative;
  if (!may_ask(url)) {
    return Status(
        Code::kConfig,
        fmt::format("AWS_CONTAINER_CREDENTIALS_FULL_URI is {}: expected https, or http to "
                    "this host",
                    url));
  }
  const Result<std::string> token = container_token(env);
  if (!token) return token.status();
  HttpRequest request{.url = url,
                      .connect_timeout_ms = 2'000,  // the agent is on the host
                      .timeout_ms = 5'000,
                      .reply_bytes_max = kReplyBytesMax,
                      .direct = url.starts_with("http://")};
  if (!token->empty()) request.headers.push_back("Authorization: " + *token);
  const Result<HttpReply> reply = http.send(request);
  if (!reply) return reply.status();
  if (reply->status != 200) {
    return Status(Code::kUnavailable, fmt::format("{}: status {}", url, reply->status));
  }
  return read_json(reply->body, "the container's agent at " + url);
}

Result<Credentials> from_instance(const Environment& env, Http& http) {
  const std::string folder = "iam/security-credentials/";
  const Result<std::string> roles = instance_metadata(env, http, folder);
  if (!roles) return roles.status();
  const std::string role = roles->substr(0, roles->find_first_of("\r\n"));
  if (role.empty()) return Status(Code::kNotFound, "the instance has no role");
  const Result<std::string> json = instance_metadata(env, http, folder + role);
  if (!json) return Status(Code::kUnavailable, json.status().message());
  return read_json(*json, "instance role " + role);
}

}  // namespace ca4::aws
