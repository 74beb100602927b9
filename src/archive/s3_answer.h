// What S3 answers: its XML, and what its errors mean for us. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "archive/archive.h"
#include "aws/http.h"
#include "base/status.h"

namespace ca4::archive {

// What is wrong with a request that S3 did not grant.
struct S3Error {
  enum class Kind {
    kTemporary,    // the server is in trouble, or asks to be asked later
    kBusy,         // the same, because of too many requests
    kCredentials,  // it does not take our name: others may do
    kRefused,      // wrong settings or rights: somebody has to mend them
    kNotFound,     // no such object
    kDamaged,      // what arrived is not what we sent
    kGone,         // the multipart upload is not there (any more)
    kOther,        // the request is wrong, and will be again
  };
  Kind kind = Kind::kOther;
  std::string code;     // S3's: "SlowDown"; of an answer without a body "status 403"
  std::string message;  // S3's own words
  std::string region;   // where the bucket really is, when the region was wrong

  bool worth_another_try() const {
    return kind == Kind::kTemporary || kind == Kind::kBusy || kind == Kind::kDamaged;
  }
};

// The error of an answer; none when it is a success. Knows that a 200 can be one:
// CompleteMultipartUpload begins its answer before it knows.
std::optional<S3Error> error_of(const aws::HttpReply& reply);

// The error for people: what, where and what to do. `doing` is as "put a/b", `credentials` where
// the keys are from.
Status to_status(const S3Error& error, std::string_view bucket, std::string_view doing,
                 std::string_view credentials);

// A page of ListObjectsV2.
struct S3Page {
  std::vector<ObjectInfo> objects;  // as S3 names them
  bool more = false;
};
Result<S3Page> read_page(std::string_view xml);

// The id that CreateMultipartUpload gave; kUnavailable when there is none.
Result<std::string> read_upload_id(std::string_view xml);

struct S3Part {
  std::string etag;
  std::string crc32c;
};
// The body of CompleteMultipartUpload.
std::string completion_xml(std::span<const S3Part> parts);

}  // namespace ca4::archive
