#include "archive/s3_archive.h"

#include <fmt/format.h>

#include <algorithm>

#include "archive/key.h"
#include "base/crc32c.h"

namespace ca4::archive {
namespace {

constexpr size_t kPageObjectsMax = 1000;  // S3's own limit
constexpr const char* kChecksum = "x-amz-checksum-crc32c";
constexpr const char* kEtag = "etag";  // of whatever was stored, with every S3 server

// A checksum of checksums ("…-3") is of an object in parts; it can't be checked without knowing
// them.
bool is_of_the_whole(std::string_view checksum) {
  return !checksum.empty() && checksum.find('-') == std::string_view::npos;
}

}  // namespace

S3Archive::S3Archive(S3Connection connection, S3Options options)
    : client_(std::move(connection)), options_(std::move(options)) {}

std::string S3Archive::full_key(std::string_view key) const {
  return options_.prefix.empty() ? std::string(key) : fmt::format("{}/{}", options_.prefix, key);
}

S3Archive::Headers S3Archive::object_headers(std::string_view content_type) const {
  Headers headers;
  if (!content_type.empty()) headers["content-type"] = content_type;
  if (!options_.sse.empty()) headers["x-amz-server-side-encryption"] = options_.sse;
  if (!options_.kms_key_id.empty()) {
    headers["x-amz-server-side-encryption-aws-kms-key-id"] = options_.kms_key_id;
  }
  return headers;
}

Status S3Archive::put(std::string_view key, std::string_view body, std::string_view content_type) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  Headers headers = object_headers(content_type);
  if (body.size() > options_.part_bytes) {
    return put_in_parts(full_key(key), body, std::move(headers));
  }
  headers[kChecksum] = crc32c_base64(body);
  return taken(
      client_.send(
          {.method = "PUT", .key = full_key(key), .headers = std::move(headers), .body = body}),
      full_key(key));
}

// Whoever else answers 200 at that address, a proxy or another service, has stored nothing.
Status S3Archive::taken(const Result<aws::HttpReply>& reply, const std::string& key) const {
  if (!reply || !reply->header(kEtag).empty()) return reply.status();
  return {
      Code::kUnavailable,
      fmt::format("S3 bucket '{}': PUT {}: answered {} without an ETag, which is no S3 server's "
                  "answer: look at archive.s3_endpoint and at proxies on the way",
                  client_.bucket(), key, reply->status)};
}

Status S3Archive::put_in_parts(const std::string& key, std::string_view body, Headers headers) {
  headers["x-amz-checksum-algorithm"] = "CRC32C";
  const Result<aws::HttpReply> begun = client_.send(
      {.method = "POST", .key = key, .query = {{"uploads", ""}}, .headers = std::move(headers)});
  if (!begun) return begun.status();
  const Result<std::string> upload_id = read_upload_id(begun->body);
  if (!upload_id) return upload_id.status();
  Status status = upload(key, *upload_id, body);
  if (!status.is_ok()) {
    // What can't be taken back only takes space until the bucket's rule removes it.
    (void)client_.send({.method = "DELETE", .key = key, .query = {{"uploadId", *upload_id}}});
  }
  return status;
}

// When the answer to the last request is lost, S3 may say at the next try that there is no such
// upload: then the object is put again, whole.
Status S3Archive::upload(const std::string& key, const std::string& upload_id,
                         std::string_view body) {
  std::vector<S3Part> parts;
  for (size_t begin = 0; begin < body.size(); begin += options_.part_bytes) {
    Result<S3Part> part =
        put_part(key, upload_id, parts.size() + 1, body.substr(begin, options_.part_bytes));
    if (!part) return part.status();
    parts.push_back(std::move(*part));
  }
  const std::string completion = completion_xml(parts);
  return client_
      .send({.method = "POST", .key = key, .query = {{"uploadId", upload_id}}, .body = completion})
      .status();
}

Result<S3Part> S3Archive::put_part(const std::string& key, const std::string& upload_id,
                                   size_t number, std::string_view bytes) {
  const std::string checksum = crc32c_base64(bytes);
  const Result<aws::HttpReply> reply =
      client_.send({.method = "PUT",
                    .key = key,
                    .query = {{"partNumber", std::to_string(number)}, {"uploadId", upload_id}},
                    .headers = {{kChecksum, checksum}},
                    .body = bytes});
  if (Status status = taken(reply, key); !status.is_ok()) return status;
  return S3Part{std::string(reply->header(kEtag)), checksum};
}

Result<std::string> S3Archive::get(std::string_view key) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  Result<aws::HttpReply> reply = client_.send(
      {.method = "GET", .key = full_key(key), .headers = {{"x-amz-checksum-mode", "ENABLED"}}});
  if (!reply) return reply.status();
  const std::string_view checksum = reply->header(kChecksum);
  if (is_of_the_whole(checksum) && checksum != crc32c_base64(reply->body)) {
    return Status(Code::kCorruption, fmt::format("S3 bucket '{}': GET {}: the bytes are not those "
                                                 "that were put (CRC-32C)",
                                                 client_.bucket(), full_key(key)));
  }
  return std::move(reply->body);
}

Result<std::vector<ObjectInfo>> S3Archive::list_page(std::string_view prefix,
                                                     std::string_view after, size_t limit) {
  std::vector<ObjectInfo> found;
  const size_t own = full_key("").size();  // what stands before our keys
  std::string last = after.empty() ? "" : full_key(after);
  for (bool more = true; more && found.size() < limit;) {
    aws::Query query{{"list-type", "2"},
                     {"encoding-type", "url"},
                     {"prefix", full_key(prefix)},
                     {"max-keys", std::to_string(std::min(limit - found.size(), kPageObjectsMax))}};
    if (!last.empty()) query["start-after"] = last;
    const Result<aws::HttpReply> reply = client_.send({.method = "GET", .query = std::move(query)});
    if (!reply) return reply.status();
    Result<S3Page> page = read_page(reply->body);
    if (!page) return page.status();
    more = page->more && !page->objects.empty();
    if (more) last = page->objects.back().key;
    for (ObjectInfo& object : page->objects) {
      object.key.erase(0, std::min(own, object.key.size()));
      if (check_key(object.key).is_ok()) found.push_back(std::move(object));
    }
  }
  return found;
}

Status S3Archive::remove(std::string_view key) {
  if (Status bad = check_key(key); !bad.is_ok()) return bad;
  const Status status = client_.send({.method = "DELETE", .key = full_key(key)}).status();
  return status.code() == Code::kNotFound ? Status::ok() : status;
}

Status S3Archive::ping() {
  const Status status = client_.send({.method = "HEAD", .once = true}).status();
  if (status.code() != Code::kConfig && status.code() != Code::kInvalidArgument) return status;
  // A HEAD is refused without a word: asked in another way, S3 says why.
  const Result<aws::HttpReply> words = client_.send(
      {.method = "GET", .query = {{"list-type", "2"}, {"max-keys", "1"}}, .once = true});
  return words ? status : words.status();
}

}  // namespace ca4::archive
