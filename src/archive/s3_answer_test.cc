#include "archive/s3_answer.h"

#include <gmock/gmock.h>

namespace ca4::archive {
namespace {

using testing::HasSubstr;
using Kind = S3Error::Kind;

aws::HttpReply failed(int status, const std::string& code, const std::string& more = "") {
  return {status,
          {},
          "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>why</Message>" + more +
              "</Error>"};
}

Kind kind(const aws::HttpReply& reply) {
  const std::optional<S3Error> error = error_of(reply);
  EXPECT_TRUE(error);
  return error ? error->kind : Kind::kOther;
}

TEST(S3Errors, AreToldApartByCodeAndElseByStatus) {
  EXPECT_EQ(kind(failed(503, "SlowDown")), Kind::kBusy);
  EXPECT_EQ(kind(failed(500, "InternalError")), Kind::kTemporary);
  EXPECT_EQ(kind({503, {}, ""}), Kind::kTemporary);
  EXPECT_EQ(kind({429, {}, "slower"}), Kind::kBusy);
  EXPECT_EQ(kind({502, {}, "<html>a proxy</html>"}), Kind::kTemporary);
  EXPECT_EQ(kind(failed(403, "AccessDenied")), Kind::kRefused);
  EXPECT_EQ(kind(failed(403, "SignatureDoesNotMatch")), Kind::kCredentials);
  EXPECT_EQ(kind(failed(400, "ExpiredToken")), Kind::kCredentials);
  EXPECT_EQ(kind(failed(404, "NoSuchBucket")), Kind::kRefused);
  EXPECT_EQ(kind(failed(404, "NoSuchKey")), Kind::kNotFound);
  EXPECT_EQ(kind(failed(404, "NoSuchUpload")), Kind::kGone);
  EXPECT_EQ(kind(failed(400, "BadDigest")), Kind::kDamaged);
  EXPECT_EQ(kind(failed(400, "InvalidArgument")), Kind::kOther);
  EXPECT_FALSE(error_of({200, {}, "<ListBucketResult/>"}));
  EXPECT_FALSE(error_of({204, {}, ""}));
}

TEST(S3Errors, ASuccessMayTurnOutToBeOne) {
  EXPECT_EQ(kind(failed(200, "InternalError")), Kind::kTemporary);
}

TEST(S3Errors, SayWhatToDo) {
  const auto text = [](const aws::HttpReply& reply) {
    return to_status(*error_of(reply), "bkt", "PUT a/b", "profile 'x'").message();
  };
  EXPECT_EQ(text(failed(403, "InvalidAccessKeyId")),
            "S3 bucket 'bkt': PUT a/b: InvalidAccessKeyId: why; the keys are from profile 'x': "
            "correct or renew them");
  EXPECT_THAT(text(failed(404, "NoSuchBucket")), HasSubstr("correct archive.s3_bucket"));
  EXPECT_THAT(text(failed(403, "AccessDenied")), HasSubstr("s3:PutObject"));
  EXPECT_THAT(text(failed(403, "RequestTimeTooSkewed")), HasSubstr("clock"));
  EXPECT_THAT(text(failed(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")),
              HasSubstr("the bucket is in eu-west-1: set archive.s3_region"));
  EXPECT_THAT(text({301, {{"x-amz-bucket-region", "us-west-2"}}, ""}), HasSubstr("us-west-2"));
}

TEST(S3Page, IsRead) {
  const Result<S3Page> page = read_page(
      "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
      "<Contents><Key>t/dt%3D1/a%2Bb</Key><Size>12</Size></Contents>"
      "<Contents><Key>c+d</Key><Size>0</Size></Contents></ListBucketResult>");
  ASSERT_TRUE(page);
  EXPECT_TRUE(page->more);
  ASSERT_EQ(page->objects.size(), 2U);
  EXPECT_EQ(page->objects[0].key, "t/dt=1/a+b");
  EXPECT_EQ(page->objects[0].size_bytes, 12U);
  EXPECT_EQ(page->objects[1].key, "c d");
  EXPECT_FALSE(read_page("<html/>"));
  EXPECT_FALSE(read_page(""));
}

TEST(S3Upload, IdAndCompletion) {
  EXPECT_EQ(*read_upload_id("<InitiateMultipartUploadResult><UploadId>x-1</UploadId>"
                            "</InitiateMultipartUploadResult>"),
            "x-1");
  EXPECT_FALSE(read_upload_id("<Other/>"));
  const S3Part parts[] = {{"\"e1\"", "AAAA"}, {"\"e2\"", "BBBB"}};
  EXPECT_EQ(completion_xml(parts),
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
            "<Part><PartNumber>1</PartNumber><ETag>\"e1\"</ETag><ChecksumCRC32C>AAAA"
            "</ChecksumCRC32C></Part><Part><PartNumber>2</PartNumber><ETag>\"e2\"</ETag>"
            "<ChecksumCRC32C>BBBB</ChecksumCRC32C></Part></CompleteMultipartUpload>");
}

}  // namespace
}  // namespace ca4::archive
