// The places where credentials can come from, one function a place. Each returns kNotFound when
// nothing is set up there, saying what was looked for; any other failure means that something is
// set up and does not work.
#pragma once

#include <string>

#include "aws/credentials.h"
#include "aws/environment.h"
#include "aws/http.h"

namespace ca4::aws {

// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN.
Result<Credentials> from_environment(const Environment& env);

// A pod's or a CI job's identity: the token in AWS_WEB_IDENTITY_TOKEN_FILE is traded at STS for
// keys of AWS_ROLE_ARN (EKS: "IAM roles for service accounts"). The server is that of the region,
// or AWS_ENDPOINT_URL_STS.
Result<Credentials> from_web_identity(const Environment& env, Http& http);

// A profile's keys, or its role_arn with web_identity_token_file. Profiles that need another
// program or another profile (credential_process, sso_session, source_profile) are kConfig.
Result<Credentials> from_profile(const Environment& env, const std::string& profile, Http& http);

// The agent of a container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI (ECS) or _FULL_URI with the
// token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN (EKS Pod
// Identity, Greengrass). Without TLS only loopback and the link-local addresses of ECS and EKS are
// asked.
Result<Credentials> from_container(const Environment& env, Http& http);

// The role of the EC2 instance, by version 2 of its metadata service (IMDSv2). Honours
// AWS_EC2_METADATA_DISABLED, AWS_EC2_METADATA_SERVICE_ENDPOINT and
// AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE.
Result<Credentials> from_instance(const Environment& env, Http& http);

// Trades a web identity token for the role's keys: AssumeRoleWithWebIdentity of the STS API.
// `region` may be empty: the global server.
struct WebIdentity {
  std::string token_file;
  std::string role_arn;
  std::string session_name;  // empty: "ca4"
};
Result<Credentials> assume_role(const Environment& env, const WebIdentity& identity,
                                const std::string& region, Http& http);

}  // namespace ca4::aws
