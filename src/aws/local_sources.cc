// The sources that are on this machine: environment variables and profile files.
#include <fmt/format.h>

#include "aws/profile_file.h"
#include "aws/region.h"
#include "aws/sources.h"

namespace ca4::aws {
namespace {

std::string member(const Profile& profile, std::string_view key) {
  const auto found = profile.find(key);
  return found == profile.end() ? std::string() : found->second;
}

}  // namespace

Result<Credentials> from_environment(const Environment& env) {
  Credentials credentials;
  credentials.access_key_id = value_of(env, "AWS_ACCESS_KEY_ID");
  credentials.secret_access_key = value_of(env, "AWS_SECRET_ACCESS_KEY");
  credentials.session_token = value_of(env, "AWS_SESSION_TOKEN");
  credentials.source = "the environment";
  if (credentials.access_key_id.empty() && credentials.secret_access_key.empty()) {
    return Status(Code::kNotFound, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set");
  }
  if (credentials.access_key_id.empty() || credentials.secret_access_key.empty()) {
    return Status(Code::kConfig,
                  fmt::format("of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only {} is set",
                              credentials.access_key_id.empty() ? "the second" : "the first"));
  }
  return credentials;
}

Result<Credentials> from_profile(const Environment& env, const std::string& name, Http& http) {
  const Result<Profile> profile = read_profile(env, name);
  if (!profile) return profile.status();
  Credentials credentials;
  credentials.access_key_id = member(*profile, "aws_access_key_id");
  credentials.secret_access_key = member(*profile, "aws_secret_access_key");
  credentials.session_token = member(*profile, "aws_session_token");
  credentials.source = fmt::format("profile '{}'", name);
  if (!credentials.access_key_id.empty() && !credentials.secret_access_key.empty()) {
    return credentials;
  }
  const std::string token_file = member(*profile, "web_identity_token_file");
  if (!token_file.empty()) {
    const std::string region = member(*profile, "region");
    return assume_role(
        env, {token_file, member(*profile, "role_arn"), member(*profile, "role_session_name")},
        region.empty() ? environment_region(env) : region, http);
  }
  for (const char* key : {"credential_process", "sso_session", "sso_start_url", "source_profile",
                          "credential_source"}) {
    if (member(*profile, key).empty()) continue;
    return Status(
        Code::kConfig,
        fmt::format("profile '{}' uses {}, which ca4 can't follow: give it keys, or run it "
                    "with those of `aws configure export-credentials --profile {} "
                    "--format env`",
                    name, key, name));
  }
  return Status(Code::kNotFound, fmt::format("profile '{}' holds no keys", name));
}

}  // namespace ca4::aws
