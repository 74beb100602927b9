#include "aws/sigv4.h"

#include <gmock/gmock.h>

#include "base/clock.h"
#include "base/digest.h"

namespace ca4::aws {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

// The examples of S3's API Reference, "Signature Calculations for the Authorization Header" and
// "Authenticating Requests: Using Query Parameters".
class S3Examples : public testing::Test {
 protected:
  const Credentials credentials_{.access_key_id = "AKIAIOSFODNN7EXAMPLE",
                                 .secret_access_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"};
  const Scope scope_{.region = "us-east-1", .service = "s3"};
  const int64_t time_us_ = *parse_rfc3339("2013-05-24T00:00:00Z");

  std::string authorization(SignableRequest request) {
    request.headers["host"] = "examplebucket.s3.amazonaws.com";
    request.headers["x-amz-content-sha256"] = request.payload_sha256;
    sign(request, credentials_, scope_, time_us_);
    return request.headers["authorization"];
  }
};

TEST_F(S3Examples, GetObject) {
  EXPECT_EQ(authorization({.method = "GET",
                           .path = "/test.txt",
                           .headers = {{"range", "bytes=0-9"}},
                           .payload_sha256 = sha256_hex("")}),
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST_F(S3Examples, PutObjectWithACharacterToEncode) {
  EXPECT_THAT(authorization({.method = "PUT",
                             .path = "/test$file.text",
                             .headers = {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                                         {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                             .payload_sha256 = sha256_hex("Welcome to Amazon S3.")}),
              EndsWith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST_F(S3Examples, AQueryWithoutValue) {
  EXPECT_THAT(authorization({.method = "GET",
                             .path = "/",
                             .query = {{"lifecycle", ""}},
                             .payload_sha256 = sha256_hex("")}),
              EndsWith("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST_F(S3Examples, AQueryIsOrdered) {
  EXPECT_THAT(authorization({.method = "GET",
                             .path = "/",
                             .query = {{"prefix", "J"}, {"max-keys", "2"}},
                             .payload_sha256 = sha256_hex("")}),
              EndsWith("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST_F(S3Examples, ThePresignedUrl) {
  EXPECT_EQ(presign({.method = "GET",
                     .path = "/test.txt",
                     .headers = {{"host", "examplebucket.s3.amazonaws.com"}},
                     .payload_sha256 = "UNSIGNED-PAYLOAD"},
                    credentials_, scope_, time_us_, 86'400),
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2F"
            "us-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"
            "X-Amz-SignedHeaders=host&"
            "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

// AWS's Signature Version 4 test suite (aws-sig-v4-test-suite): names as there.
class TestSuite : public testing::Test {
 protected:
  Credentials credentials_{.access_key_id = "AKIDEXAMPLE",
                           .secret_access_key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"};
  const Scope scope_{.region = "us-east-1", .service = "service"};

  std::string signature(SignableRequest request) {
    request.headers["host"] = "example.amazonaws.com";
    if (request.payload_sha256.empty()) request.payload_sha256 = sha256_hex("");
    sign(request, credentials_, scope_, *parse_rfc3339("2015-08-30T12:36:00Z"));
    const std::string& text = request.headers["authorization"];
    return text.substr(text.rfind('=') + 1);
  }
};

TEST_F(TestSuite, GetVanilla) {
  EXPECT_EQ(signature({.method = "GET", .path = "/"}),
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST_F(TestSuite, GetVanillaQueryOrderKeyCase) {
  EXPECT_EQ(
      signature(
          {.method = "GET", .path = "/", .query = {{"Param2", "value2"}, {"Param1", "value1"}}}),
      "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500");
}

TEST_F(TestSuite, GetUtf8) {
  EXPECT_EQ(signature({.method = "GET", .path = "/\u1234"}),
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
}

TEST_F(TestSuite, GetHeaderValueTrim) {
  EXPECT_EQ(signature({.method = "GET",
                       .path = "/",
                       .headers = {{"my-header1", " value1"}, {"my-header2", " \"a   b   c\""}}}),
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
}

TEST_F(TestSuite, PostVanilla) {
  EXPECT_EQ(signature({.method = "POST", .path = "/"}),
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
}

TEST_F(TestSuite, PostStsHeaderBefore) {
  credentials_.session_token =
      "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSP"
      "fIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT"
      "7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlz"
      "m8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
  EXPECT_EQ(signature({.method = "POST", .path = "/"}),
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

TEST(Sigv4, ASessionTokenIsSignedInBothForms) {
  const Credentials credentials{
      .access_key_id = "A", .secret_access_key = "s", .session_token = "a+b/c=="};
  SignableRequest request{
      .method = "GET", .path = "/", .headers = {{"host", "h:1"}}, .payload_sha256 = sha256_hex("")};
  EXPECT_THAT(presign(request, credentials, {"r", "s"}, 0, 900),
              HasSubstr("X-Amz-Security-Token=a%2Bb%2Fc%3D%3D&"));
  sign(request, credentials, {"r", "s"}, 0);
  EXPECT_EQ(request.headers["x-amz-security-token"], "a+b/c==");
  EXPECT_THAT(request.headers["authorization"],
              HasSubstr("SignedHeaders=host;x-amz-date;x-amz-security-token,"));
}

TEST(Sigv4, EncodesAllButWhatIsUnreserved) {
  EXPECT_EQ(uri_encode("t/dt=2026 +ä~_-.", true), "t/dt%3D2026%20%2B%C3%A4~_-.");
  EXPECT_EQ(uri_encode("a/b", false), "a%2Fb");
}

}  // namespace
}  // namespace ca4::aws
