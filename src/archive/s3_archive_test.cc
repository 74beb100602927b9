// What the archive makes of answers that a server gives only in trouble; the rest is shown on a
// real one (s3_conformance_test.cc, tests/test_s3.py).
#include "archive/s3_archive.h"

#include <gmock/gmock.h>

#include "aws/test_support.h"
#include "base/crc32c.h"

namespace ca4::archive {
namespace {

using aws::FakeHttp;
using testing::Contains;
using testing::HasSubstr;
using testing::StartsWith;

class CountedKeys final : public aws::CredentialsProvider {
 public:
  Result<aws::Credentials> get() override {
    return aws::Credentials{.access_key_id = "key-" + std::to_string(refusals),
                            .secret_access_key = "secret",
                            .source = "a test"};
  }
  void refused() override { ++refusals; }

  int refusals = 0;
};

class S3ArchiveTest : public testing::Test {
 protected:
  // Answers one after the other, the last one for ever.
  S3Archive& archive(std::vector<Result<aws::HttpReply>> answers) {
    answers_ = std::move(answers);
    http_ = std::make_shared<FakeHttp>([this](const FakeHttp::Asked&) {
      const size_t next = std::min(given_++, answers_.size() - 1);
      return answers_[next];
    });
    S3Connection connection{
        .bucket = "bkt",
        .region = "r",
        .address = S3Address::make("http://h:1", "r", "bkt", Addressing::kPath).value(),
        .http = http_,
        .credentials = keys_,
        .clock = &clock_,
        .on_result = [this](std::string_view result) { results_.emplace_back(result); },
        .pause = [this](int64_t ms) { pauses_ms_.push_back(ms); }};
    archive_ = std::make_unique<S3Archive>(std::move(connection), options_);
    return *archive_;
  }
  Status put(const std::string& body = "x") { return archive_->put("a/b", body, "text/plain"); }
  std::vector<std::string> asked() {
    std::vector<std::string> lines;
    for (const FakeHttp::Asked& one : http_->asked()) lines.push_back(one.method + " " + one.url);
    return lines;
  }

  const ManualClock clock_{1'795'460'297'000'000};
  std::shared_ptr<CountedKeys> keys_ = std::make_shared<CountedKeys>();
  S3Options options_;
  std::vector<Result<aws::HttpReply>> answers_;
  size_t given_ = 0;
  std::shared_ptr<FakeHttp> http_;
  std::vector<std::string> results_;
  std::vector<int64_t> pauses_ms_;
  std::unique_ptr<S3Archive> archive_;
};

Result<aws::HttpReply> ok(std::string body = "") {
  return aws::HttpReply{200, {{"etag", "\"e\""}}, std::move(body)};
}
Result<aws::HttpReply> upload_begun() {
  return ok(
      "<InitiateMultipartUploadResult><UploadId>u</UploadId>"
      "</InitiateMultipartUploadResult>");
}
Result<aws::HttpReply> error(int status, const std::string& code) {
  return aws::reply(status, "<Error><Code>" + code + "</Code></Error>");
}
Result<aws::HttpReply> away() {
  return Status(Code::kUnavailable, "http://h:1/: connection refused");
}

TEST_F(S3ArchiveTest, WhatWillPassIsTriedAgainWithGrowingPauses) {
  archive({away(), error(503, "SlowDown"), error(500, "InternalError"), ok()});
  EXPECT_TRUE(put().is_ok());
  ASSERT_EQ(pauses_ms_.size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_GE(pauses_ms_[i], 50 << i);
    EXPECT_LE(pauses_ms_[i], 100 << i);
  }
  EXPECT_EQ(results_, (std::vector<std::string>{"unreachable", "throttled", "server_error", "ok"}));
}

TEST_F(S3ArchiveTest, TriesAreBounded) {
  archive({error(503, "SlowDown")});
  EXPECT_EQ(put().code(), Code::kOverloaded);
  EXPECT_EQ(asked().size(), 4U);
  archive({away()});
  EXPECT_EQ(put().code(), Code::kUnavailable);
  EXPECT_THAT(put().message(), HasSubstr("S3 bucket 'bkt': PUT a/b: http://h:1/: connection"));
}

TEST_F(S3ArchiveTest, APauseThatTheServerAsksForIsKept) {
  archive({aws::HttpReply{503, {{"retry-after", "3"}}, ""}, ok()});
  EXPECT_TRUE(put().is_ok());
  EXPECT_EQ(pauses_ms_, std::vector<int64_t>{3'000});
}

TEST_F(S3ArchiveTest, A200OfWhatIsNoS3ServerPromisesNothing) {
  options_.part_bytes = 4;
  archive({aws::reply(200, "<html>welcome</html>")});
  EXPECT_EQ(put().code(), Code::kUnavailable);
  EXPECT_THAT(put().message(), HasSubstr("archive.s3_endpoint"));
  archive({upload_begun(), aws::reply(200)});
  EXPECT_EQ(put("0123456789").code(), Code::kUnavailable);
}

TEST_F(S3ArchiveTest, WhatIsRefusedIsNotTriedAgain) {
  archive({error(403, "AccessDenied")});
  EXPECT_EQ(put().code(), Code::kConfig);
  EXPECT_EQ(asked().size(), 1U);
  EXPECT_EQ(keys_->refusals, 1);  // the next put reads the keys anew
}

TEST_F(S3ArchiveTest, KeysThatAreRefusedAreReadAnewOnce) {
  archive({error(403, "InvalidAccessKeyId"), ok()});
  EXPECT_TRUE(put().is_ok());
  EXPECT_THAT(http_->asked().at(1).headers,
              Contains(StartsWith("authorization: AWS4-HMAC-SHA256 Credential=key-1/")));
  archive({error(403, "InvalidAccessKeyId")});
  const Status status = put();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr("the keys are from a test"));
  EXPECT_EQ(asked().size(), 2U);
}

TEST_F(S3ArchiveTest, ABucketThatIsNotThereIsSaid) {
  archive({aws::reply(404)});
  const Status status = archive_->ping();
  EXPECT_EQ(status.code(), Code::kConfig);
  EXPECT_THAT(status.message(), HasSubstr("NoSuchBucket"));
}

TEST_F(S3ArchiveTest, WhoAsksWhetherItAnswersIsToldAtOnce) {
  archive({away(), ok()});
  EXPECT_EQ(archive_->ping().code(), Code::kUnavailable);
  EXPECT_EQ(asked().size(), 1U);
  EXPECT_THAT(pauses_ms_, testing::IsEmpty());
}

TEST_F(S3ArchiveTest, APutSaysWhatItIsAndHowToKeepIt) {
  options_.sse = "aws:kms";
  options_.kms_key_id = "key/1";
  options_.prefix = "ca4/prod";
  archive({ok()});
  ASSERT_TRUE(put("hello").is_ok());
  const FakeHttp::Asked asked = http_->asked().at(0);
  EXPECT_EQ(asked.url, "http://h:1/bkt/ca4/prod/a/b");
  for (const char* header : {"Content-Type: text/plain", "x-amz-checksum-crc32c: mnG7TA==",
                             "x-amz-server-side-encryption: aws:kms",
                             "x-amz-server-side-encryption-aws-kms-key-id: key/1",
                             "x-amz-content-sha256: "
                             "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}) {
    EXPECT_THAT(asked.headers, Contains(header));
  }
}

TEST_F(S3ArchiveTest, LargeObjectsGoInParts) {
  options_.part_bytes = 4;
  options_.sse = "AES256";
  archive({upload_begun(), ok(), away(), ok(), ok(), ok()});
  ASSERT_TRUE(put("0123456789").is_ok());
  EXPECT_EQ(
      asked(),
      (std::vector<std::string>{
          "POST http://h:1/bkt/a/b?uploads=", "PUT http://h:1/bkt/a/b?partNumber=1&uploadId=u",
          "PUT http://h:1/bkt/a/b?partNumber=2&uploadId=u",
          "PUT http://h:1/bkt/a/b?partNumber=2&uploadId=u",
          "PUT http://h:1/bkt/a/b?partNumber=3&uploadId=u", "POST http://h:1/bkt/a/b?uploadId=u"}));
  EXPECT_THAT(http_->asked().at(0).headers, Contains("x-amz-server-side-encryption: AES256"));
  EXPECT_EQ(http_->asked().at(4).body, "89");
  EXPECT_THAT(http_->asked().at(5).body, HasSubstr("<PartNumber>3</PartNumber>"));
}

TEST_F(S3ArchiveTest, AnUploadThatFailsIsTakenBack) {
  options_.part_bytes = 4;
  archive({upload_begun(), ok(), error(403, "AccessDenied"), ok()});
  EXPECT_EQ(put("0123456789").code(), Code::kConfig);
  EXPECT_EQ(asked().back(), "DELETE http://h:1/bkt/a/b?uploadId=u");
}

TEST_F(S3ArchiveTest, ACompletionThatFailsBehindA200IsNoSuccess) {
  options_.part_bytes = 4;
  archive(
      {upload_begun(), ok(), ok(), error(200, "InternalError"), error(404, "NoSuchUpload"), ok()});
  EXPECT_EQ(put("01234567").code(), Code::kUnavailable);
  EXPECT_EQ(asked().back(), "DELETE http://h:1/bkt/a/b?uploadId=u");
}

TEST_F(S3ArchiveTest, BytesThatChangedAreCorruption) {
  archive({aws::HttpReply{200, {{"x-amz-checksum-crc32c", crc32c_base64("hello")}}, "hellp"}});
  EXPECT_EQ(archive_->get("a/b").status().code(), Code::kCorruption);
  // Of an object in parts there is only a checksum of checksums.
  archive({aws::HttpReply{200, {{"x-amz-checksum-crc32c", "AAAAAA==-2"}}, "hello"}});
  EXPECT_EQ(*archive_->get("a/b"), "hello");
}

TEST_F(S3ArchiveTest, AnObjectMayLookLikeAnError) {
  archive({ok("<Error><Code>NoSuchKey</Code></Error>")});
  EXPECT_EQ(*archive_->get("a/b"), "<Error><Code>NoSuchKey</Code></Error>");
}

TEST_F(S3ArchiveTest, ListsWhatIsBelowItsPrefixAndCanBeOurs) {
  options_.prefix = "p";
  archive({ok("<ListBucketResult><IsTruncated>true</IsTruncated>"
              "<Contents><Key>p/a</Key><Size>1</Size></Contents>"
              "<Contents><Key>p/by hand</Key><Size>1</Size></Contents></ListBucketResult>"),
           ok("<ListBucketResult><IsTruncated>false</IsTruncated>"
              "<Contents><Key>p/c</Key><Size>2</Size></Contents></ListBucketResult>")});
  const Result<std::vector<ObjectInfo>> listed = archive_->list_page("", "", 5);
  ASSERT_TRUE(listed);
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ(listed->at(1).key, "c");
  EXPECT_THAT(asked().at(1), HasSubstr("&start-after=p%2Fby%20hand"));
  EXPECT_THAT(asked().at(0), HasSubstr("prefix=p%2F"));
}

}  // namespace
}  // namespace ca4::archive
