#include "archive/s3_address.h"

#include <gmock/gmock.h>

namespace ca4::archive {
namespace {

using testing::HasSubstr;

std::string url_of(const std::string& endpoint, const std::string& bucket,
                   Addressing addressing = Addressing::kAuto,
                   const std::string& region = "eu-west-1") {
  const Result<S3Address> address = S3Address::make(endpoint, region, bucket, addressing);
  EXPECT_TRUE(address) << address.status().to_string();
  return address ? address->url("a/dt=1/b", {}) : "";
}

TEST(S3Address, OfAwsNamesTheBucketInTheHost) {
  EXPECT_EQ(url_of("", "my-bucket"), "https://my-bucket.s3.eu-west-1.amazonaws.com/a/dt%3D1/b");
  EXPECT_EQ(url_of("", "my-bucket", Addressing::kAuto, "cn-north-1"),
            "https://my-bucket.s3.cn-north-1.amazonaws.com.cn/a/dt%3D1/b");
  EXPECT_EQ(url_of("", "my-bucket", Addressing::kPath),
            "https://s3.eu-west-1.amazonaws.com/my-bucket/a/dt%3D1/b");
}

TEST(S3Address, GoesIntoThePathWhereTheHostCantCarryIt) {
  EXPECT_EQ(url_of("http://127.0.0.1:9000", "bkt"), "http://127.0.0.1:9000/bkt/a/dt%3D1/b");
  EXPECT_EQ(url_of("http://[::1]:9000/", "bkt"), "http://[::1]:9000/bkt/a/dt%3D1/b");
  EXPECT_EQ(url_of("http://localhost:9000", "bkt"), "http://localhost:9000/bkt/a/dt%3D1/b");
  EXPECT_EQ(url_of("", "a.bucket"), "https://s3.eu-west-1.amazonaws.com/a.bucket/a/dt%3D1/b");
  EXPECT_EQ(url_of("http://s3.local", "a.bucket"), "http://a.bucket.s3.local/a/dt%3D1/b");
  EXPECT_EQ(url_of("http://localhost:9000", "bkt", Addressing::kVirtual),
            "http://bkt.localhost:9000/a/dt%3D1/b");
}

TEST(S3Address, TheHostIsAsClientsSendIt) {
  const auto host = [](const char* endpoint) {
    return S3Address::make(endpoint, "r", "bkt", Addressing::kPath).value().host();
  };
  EXPECT_EQ(host("https://s3.example:443"), "s3.example");
  EXPECT_EQ(host("http://s3.example:80"), "s3.example");
  EXPECT_EQ(host("https://s3.example:8443"), "s3.example:8443");
}

TEST(S3Address, OfTheBucketItself) {
  const S3Address path = S3Address::make("http://h:1", "r", "bkt", Addressing::kPath).value();
  EXPECT_EQ(path.url("", {{"prefix", "a b"}, {"list-type", "2"}}),
            "http://h:1/bkt?list-type=2&prefix=a%20b");
  const S3Address host = S3Address::make("http://h.x", "r", "bkt", Addressing::kVirtual).value();
  EXPECT_EQ(host.url("", {}), "http://bkt.h.x/");
}

TEST(S3Address, WhatIsNoneIsRefusedWithItsSetting) {
  for (const char* bucket : {"", "ab", "Bucket", "a_b", "-ab", "ab-", "a..b", "a/b", "a b"}) {
    const Status status = S3Address::make("", "r", bucket, Addressing::kAuto).status();
    EXPECT_EQ(status.code(), Code::kConfig) << bucket;
    EXPECT_THAT(status.message(), HasSubstr("archive.s3_bucket"));
  }
  for (const char* endpoint : {"h:1", "ftp://h", "http://", "http://h/path", "http://u@h"}) {
    const Status status = S3Address::make(endpoint, "r", "bkt", Addressing::kAuto).status();
    EXPECT_EQ(status.code(), Code::kConfig) << endpoint;
    EXPECT_THAT(status.message(), HasSubstr("archive.s3_endpoint"));
  }
}

}  // namespace
}  // namespace ca4::archive
