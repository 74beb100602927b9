// An archive in a bucket of S3 or of a server that speaks its protocol.
#pragma once

#include <string>
#include <string_view>

#include "archive/archive.h"
#include "archive/s3_client.h"

namespace ca4::archive {

struct S3Options {
  std::string prefix;      // before every key, with a '/' between; empty: none
  std::string sse;         // "AES256", "aws:kms", or empty: what the bucket does by itself
  std::string kms_key_id;  // with aws:kms; empty: the account's own key
  // Larger objects are sent in parts of this size. 8 MiB is what goes again when a connection
  // breaks; S3 takes no part below 5 MiB but the last, and 10,000 parts hold 78 GiB.
  size_t part_bytes = 8U << 20;
};

// A put is durable when S3 has answered it. Every request carries the SHA-256 of its body in its
// signature and a CRC-32C that S3 keeps with the object: what arrives damaged is refused, and what
// is read back is checked. What several processes put under one key: the last one stays.
class S3Archive final : public Archive {
 public:
  S3Archive(S3Connection connection, S3Options options);

  // kConfig when somebody has to mend settings, keys or rights; kUnavailable or kOverloaded when it
  // will pass. An upload in parts that fails is taken back; one whose process dies stays in the
  // bucket, invisible, until the bucket's own rule for incomplete uploads removes it.
  Status put(std::string_view key, std::string_view body, std::string_view content_type) override;
  // kCorruption when the bytes are not those that were put.
  Result<std::string> get(std::string_view key) override;
  // Of one page of S3 at least a request; keys that no put of ours makes are left out.
  Result<std::vector<ObjectInfo>> list_page(std::string_view prefix, std::string_view after,
                                            size_t limit) override;
  Status remove(std::string_view key) override;
  // Whether the bucket is there and may be used.
  Status ping() override;

 private:
  using Headers = std::map<std::string, std::string>;
  std::string full_key(std::string_view key) const;
  Headers object_headers(std::string_view content_type) const;
  // Of the answer to a PUT: ok where the object, or the part of it, is stored.
  Status taken(const Result<aws::HttpReply>& reply, const std::string& key) const;
  Status put_in_parts(const std::string& key, std::string_view body, Headers headers);
  Status upload(const std::string& key, const std::string& upload_id, std::string_view body);
  Result<S3Part> put_part(const std::string& key, const std::string& upload_id, size_t number,
                          std::string_view bytes);

  S3Client client_;
  const S3Options options_;
};

}  // namespace ca4::archive
