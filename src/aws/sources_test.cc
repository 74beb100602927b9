#include "aws/sources.h"

#include <gmock/gmock.h>

#include <fstream>

#include "aws/region.h"
#include "aws/test_support.h"
#include "base/test_dir.h"

namespace ca4::aws {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kJson = R"({"AccessKeyId":"A","SecretAccessKey":"S","Token":"T",
                                  "Expiration":"2026-11-24T12:00:00Z"})";

std::string write(const TempDir& dir, const char* name, const std::string& text) {
  std::string path = dir.path() + "/" + name;
  std::ofstream(path) << text;
  return path;
}

void expect_keys(const Result<Credentials>& credentials) {
  ASSERT_TRUE(credentials) << credentials.status().to_string();
  EXPECT_EQ(credentials->access_key_id, "A");
  EXPECT_EQ(credentials->secret_access_key, "S");
  EXPECT_EQ(credentials->session_token, "T");
}

TEST(FromEnvironment, TakesTheThreeVariables) {
  expect_keys(from_environment(environment_of(
      {{"AWS_ACCESS_KEY_ID", "A"}, {"AWS_SECRET_ACCESS_KEY", "S"}, {"AWS_SESSION_TOKEN", "T"}})));
  EXPECT_EQ(from_environment(environment_of({})).status().code(), Code::kNotFound);
}

TEST(FromEnvironment, HalfAKeyIsAnErrorNotAnotherPlace) {
  const Status status = from_environment(environment_of({{"AWS_ACCESS_KEY_ID", "A"}})).status();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr("only the first is set"));
}

TEST(FromProfile, TakesItsKeys) {
  const TempDir dir;
  FakeHttp http(no_reply);
  const Environment env = environment_of(
      {{"AWS_SHARED_CREDENTIALS_FILE",
        write(dir, "k",
              "[p]\naws_access_key_id=A\naws_secret_access_key=S\naws_session_token=T\n"
              "[empty]\nregion=r\n")},
       {"AWS_CONFIG_FILE", write(dir, "c", "[profile sso]\nsso_session=x\n")}});
  expect_keys(from_profile(env, "p", http));
  EXPECT_EQ(from_profile(env, "empty", http).status().code(), Code::kNotFound);
  const Status sso = from_profile(env, "sso", http).status();
  EXPECT_EQ(sso.code(), Code::kConfig);
  EXPECT_THAT(sso.message(), HasSubstr("export-credentials --profile sso"));
}

TEST(FromWebIdentity, TradesTheTokenAtTheRegionsServer) {
  const TempDir dir;
  FakeHttp http([](const FakeHttp::Asked&) {
    return reply(200, R"(<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/">
      <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>A</AccessKeyId>
      <SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken>
      <Expiration>2026-11-24T12:00:00Z</Expiration></Credentials>
      </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>)");
  });
  const Environment env =
      environment_of({{"AWS_WEB_IDENTITY_TOKEN_FILE", write(dir, "token", "jwt.a+b")},
                      {"AWS_ROLE_ARN", "arn:aws:iam::1:role/ca4"},
                      {"AWS_REGION", "eu-west-1"}});
  const Result<Credentials> credentials = from_web_identity(env, http);
  expect_keys(credentials);
  EXPECT_TRUE(credentials->expires_at_us);
  const FakeHttp::Asked asked = http.asked().at(0);
  EXPECT_EQ(asked.url, "https://sts.eu-west-1.amazonaws.com/");
  EXPECT_EQ(asked.body,
            "Action=AssumeRoleWithWebIdentity&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fca4&"
            "RoleSessionName=ca4&Version=2011-06-15&WebIdentityToken=jwt.a%2Bb");
}

TEST(FromWebIdentity, SaysWhyTheServerRefusedAndNeverTheToken) {
  const TempDir dir;
  FakeHttp http([](const FakeHttp::Asked&) {
    return reply(403,
                 "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized"
                 "</Message></Error></ErrorResponse>");
  });
  const Status status =
      from_web_identity(
          environment_of({{"AWS_WEB_IDENTITY_TOKEN_FILE", write(dir, "token", "secret-token")},
                          {"AWS_ROLE_ARN", "arn:aws:iam::1:role/ca4"}}),
          http)
          .status();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr("AccessDenied: Not authorized"));
  EXPECT_THAT(status.message(), Not(HasSubstr("secret-token")));
}

TEST(FromContainer, AsksTheAgentOfEcs) {
  FakeHttp http([](const FakeHttp::Asked&) { return reply(200, kJson); });
  expect_keys(from_container(
      environment_of({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x"}}), http));
  EXPECT_EQ(http.asked().at(0).url, "http://169.254.170.2/v2/credentials/x");
  EXPECT_TRUE(http.asked().at(0).direct);
}

TEST(FromContainer, ShowsTheTokenOfItsFile) {
  const TempDir dir;
  FakeHttp http([](const FakeHttp::Asked&) { return reply(200, kJson); });
  expect_keys(from_container(
      environment_of(
          {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"},
           {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", write(dir, "t", "pod\n")}}),
      http));
  EXPECT_THAT(http.asked().at(0).headers, Contains("Authorization: pod"));
}

TEST(FromContainer, AsksNobodyElseInTheClear) {
  FakeHttp http([](const FakeHttp::Asked&) { return reply(200, kJson); });
  for (const char* url : {"http://example.com/x", "http://127.0.0.1.example.com/", "ftp://x"}) {
    const Environment env = environment_of({{"AWS_CONTAINER_CREDENTIALS_FULL_URI", url}});
    EXPECT_EQ(from_container(env, http).status().code(), Code::kConfig) << url;
  }
  EXPECT_TRUE(http.asked().empty());
}

TEST(FromContainer, AnAnswerThatIsNoneIsNotTaken) {
  for (const char* body : {"", "[]", "{}", R"({"AccessKeyId":"A","SecretAccessKey":"S"})",
                           R"({"AccessKeyId":1,"SecretAccessKey":"S","Expiration":"x"})"}) {
    FakeHttp http([body](const FakeHttp::Asked&) { return reply(200, body); });
    const Environment env = environment_of({{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x"}});
    EXPECT_EQ(from_container(env, http).status().code(), Code::kUnavailable) << body;
  }
}

Result<HttpReply> metadata_service(const FakeHttp::Asked& asked) {
  if (asked.url.ends_with("/latest/api/token")) return reply(200, "session");
  if (asked.headers.at(0) != "X-aws-ec2-metadata-token: session") return reply(401);
  if (asked.url.ends_with("/iam/security-credentials/")) return reply(200, "the-role\n");
  if (asked.url.ends_with("/placement/region")) return reply(200, "eu-north-1");
  return reply(200, kJson);
}

TEST(FromInstance, SpeaksVersionTwo) {
  FakeHttp http(metadata_service);
  expect_keys(from_instance(environment_of({}), http));
  ASSERT_EQ(http.asked().size(), 4U);
  EXPECT_EQ(http.asked().at(0).method, "PUT");
  EXPECT_EQ(http.asked().at(3).url,
            "http://169.254.169.254/latest/meta-data/iam/security-credentials/the-role");
}

TEST(FromInstance, HonoursTheVariables) {
  FakeHttp http(metadata_service);
  const Environment elsewhere =
      environment_of({{"AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://h:1/"}});
  expect_keys(from_instance(elsewhere, http));
  EXPECT_EQ(http.asked().at(0).url, "http://h:1/latest/api/token");
  FakeHttp six(metadata_service);
  expect_keys(
      from_instance(environment_of({{"AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6"}}), six));
  EXPECT_THAT(six.asked().at(0).url, testing::StartsWith("http://[fd00:ec2::254]/"));
  FakeHttp nobody(no_reply);
  EXPECT_EQ(from_instance(environment_of({{"AWS_EC2_METADATA_DISABLED", "true"}}), nobody)
                .status()
                .code(),
            Code::kNotFound);
  EXPECT_TRUE(nobody.asked().empty());
}

TEST(FromInstance, WithoutServiceOrRoleThereIsNone) {
  FakeHttp nobody(no_reply);
  EXPECT_EQ(from_instance(environment_of({}), nobody).status().code(), Code::kNotFound);
  FakeHttp no_role([](const FakeHttp::Asked& asked) {
    return asked.method == "PUT" ? reply(200, "session") : reply(404);
  });
  EXPECT_EQ(from_instance(environment_of({}), no_role).status().code(), Code::kNotFound);
}

TEST(Region, IsTheVariablesTheProfilesOrTheInstances) {
  const TempDir dir;
  FakeHttp http(metadata_service);
  const std::string config = write(dir, "c", "[profile p]\nregion = us-west-2\n");
  const std::map<std::string, std::string> files = {{"AWS_CONFIG_FILE", config},
                                                    {"HOME", dir.path()}};
  std::map<std::string, std::string> with_variable = files;
  with_variable["AWS_DEFAULT_REGION"] = "eu-west-3";
  EXPECT_EQ(*find_region(environment_of(with_variable), "p", http), "eu-west-3");
  EXPECT_EQ(*find_region(environment_of(files), "p", http), "us-west-2");
  EXPECT_EQ(*find_region(environment_of(files), "q", http), "eu-north-1");
  FakeHttp nobody(no_reply);
  const Status none = find_region(environment_of(files), "q", nobody).status();
  EXPECT_EQ(none.code(), Code::kConfig);
  EXPECT_THAT(none.message(), HasSubstr("AWS_REGION"));
  EXPECT_THAT(none.message(), HasSubstr(config));
}

}  // namespace
}  // namespace ca4::aws
