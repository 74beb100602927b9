// Where the objects of a bucket are: server, host name and path of each request. Pure.
#pragma once

#include <string>
#include <string_view>

#include "aws/sigv4.h"
#include "base/status.h"

namespace ca4::archive {

// How a bucket is named: in the host name ("virtual", what AWS wants), in the path ("path", what
// most other servers want), or "auto": in the path where the host can't carry it (an address, a
// single name as localhost, a bucket with a dot under https).
enum class Addressing { kAuto, kPath, kVirtual };

class S3Address {
 public:
  // `endpoint` is "http[s]://HOST[:PORT]", or empty for AWS in `region`. kConfig when the endpoint
  // is something else or the bucket's name can't be one.
  static Result<S3Address> make(const std::string& endpoint, const std::string& region,
                                const std::string& bucket, Addressing addressing);

  // As the Host header and the signature have it: with the port where it is not the scheme's own.
  const std::string& host() const { return host_; }
  // Of an object, or with an empty key of the bucket; not encoded.
  std::string path(std::string_view key) const;
  std::string url(std::string_view key, const aws::Query& query) const;

 private:
  std::string scheme_;
  std::string host_;
  std::string bucket_in_path_;  // "/bucket", or empty
};

}  // namespace ca4::archive
