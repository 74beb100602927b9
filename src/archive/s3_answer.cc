#include "archive/s3_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <pugixml.hpp>
#include <sstream>

namespace ca4::archive {
namespace {

using Kind = S3Error::Kind;

// S3's codes ("Error responses" of its API Reference), those that are not told by the status.
struct KnownError {
  std::string_view code;
  Kind kind;
};
constexpr KnownError kKnown[] = {
    {"SlowDown", Kind::kBusy},
    {"TooManyRequests", Kind::kBusy},
    {"Throttling", Kind::kBusy},
    {"RequestTimeout", Kind::kTemporary},
    {"RequestTimeTooSkewed", Kind::kRefused},
    {"ExpiredToken", Kind::kCredentials},
    {"InvalidToken", Kind::kCredentials},
    {"TokenRefreshRequired", Kind::kCredentials},
    {"InvalidAccessKeyId", Kind::kCredentials},
    {"SignatureDoesNotMatch", Kind::kCredentials},
    {"BadDigest", Kind::kDamaged},
    {"XAmzContentSHA256Mismatch", Kind::kDamaged},
    {"NoSuchBucket", Kind::kRefused},
    {"NoSuchKey", Kind::kNotFound},
    {"NoSuchUpload", Kind::kGone},
    {"PermanentRedirect", Kind::kRefused},
    {"AuthorizationHeaderMalformed", Kind::kRefused},
    {"IllegalLocationConstraintException", Kind::kRefused},
};

Kind kind_of_status(int status) {
  if (status == 429) return Kind::kBusy;
  if (status == 408 || status >= 500) return Kind::kTemporary;
  if (status == 404) return Kind::kNotFound;
  if (status == 401 || status == 403 || (status >= 300 && status < 400)) return Kind::kRefused;
  return Kind::kOther;
}

std::string advice(const S3Error& error, std::string_view credentials) {
  if (error.kind == Kind::kCredentials) {
    return fmt::format("; the keys are from {}: correct or renew them", credentials);
  }
  if (!error.region.empty()) {
    return fmt::format("; the bucket is in {}: set archive.s3_region", error.region);
  }
  if (error.code == "NoSuchBucket") return "; make the bucket, or correct archive.s3_bucket";
  if (error.code == "RequestTimeTooSkewed") return "; set this machine's clock";
  if (error.kind == Kind::kRefused) {
    return fmt::format(
        "; let the keys (from {}) do s3:PutObject, s3:GetObject, s3:ListBucket and "
        "s3:AbortMultipartUpload there, and kms:GenerateDataKey and kms:Decrypt of its key",
        credentials);
  }
  return {};
}

Code code_of(Kind kind) {
  switch (kind) {
    case Kind::kTemporary:
    case Kind::kGone:
      return Code::kUnavailable;
    case Kind::kBusy:
      return Code::kOverloaded;
    case Kind::kCredentials:
    case Kind::kRefused:
      return Code::kConfig;
    case Kind::kNotFound:
      return Code::kNotFound;
    case Kind::kDamaged:
      return Code::kIo;
    case Kind::kOther:
      return Code::kInvalidArgument;
  }
  return Code::kInternal;
}

// "%2B" and '+' undone, as lists with encoding-type=url need it.
std::string decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const std::string digits(text.substr(i + 1, 2));
      out += static_cast<char>(std::strtol(digits.c_str(), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<S3Error> error_of(const aws::HttpReply& reply) {
  pugi::xml_document xml;
  const bool read = !reply.body.empty() && xml.load_buffer(reply.body.data(), reply.body.size());
  const pugi::xml_node node = read ? xml.child("Error") : pugi::xml_node();
  if (reply.status >= 200 && reply.status < 300 && !node) return std::nullopt;
  S3Error error;
  error.code = node ? node.child_value("Code") : fmt::format("status {}", reply.status);
  error.message = node.child_value("Message");
  // Only what comes with a wrong region: other answers name the bucket's region too.
  error.region = node.child_value("Region");
  if (error.region.empty() && (reply.status == 301 || reply.status == 400)) {
    error.region = reply.header("x-amz-bucket-region");
  }
  // A 200 that turned out to be an error is one of the server.
  error.kind = reply.status < 300 ? Kind::kTemporary : kind_of_status(reply.status);
  const auto* known = std::find_if(std::begin(kKnown), std::end(kKnown),
                                   [&](const KnownError& row) { return row.code == error.code; });
  if (known != std::end(kKnown)) error.kind = known->kind;
  if (!error.region.empty()) error.kind = Kind::kRefused;
  return error;
}

Status to_status(const S3Error& error, std::string_view bucket, std::string_view doing,
                 std::string_view credentials) {
  return {code_of(error.kind), fmt::format("S3 bucket '{}': {}: {}{}{}{}", bucket, doing,
                                           error.code, error.message.empty() ? "" : ": ",
                                           error.message, advice(error, credentials))};
}

Result<S3Page> read_page(std::string_view text) {
  pugi::xml_document xml;
  const pugi::xml_node root =
      xml.load_buffer(text.data(), text.size()) ? xml.child("ListBucketResult") : pugi::xml_node();
  if (!root) return Status(Code::kUnavailable, "S3: a list that is none");
  S3Page page;
  page.more = root.child("IsTruncated").text().as_bool();
  const bool encoded = std::string_view(root.child_value("EncodingType")) == "url";
  for (const pugi::xml_node object : root.children("Contents")) {
    const std::string key = object.child_value("Key");
    page.objects.push_back({encoded ? decoded(key) : key, object.child("Size").text().as_ullong()});
  }
  return page;
}

Result<std::string> read_upload_id(std::string_view text) {
  pugi::xml_document xml;
  if (xml.load_buffer(text.data(), text.size())) {
    const std::string id = xml.child("InitiateMultipartUploadResult").child_value("UploadId");
    if (!id.empty()) return id;
  }
  return Status(Code::kUnavailable, "S3: an upload without id");
}

std::string completion_xml(std::span<const S3Part> parts) {
  pugi::xml_document xml;
  pugi::xml_node root = xml.append_child("CompleteMultipartUpload");
  root.append_attribute("xmlns") = "http://s3.amazonaws.com/doc/2006-03-01/";
  for (size_t i = 0; i < parts.size(); ++i) {
    pugi::xml_node part = root.append_child("Part");
    part.append_child("PartNumber").text() = static_cast<unsigned>(i + 1);
    part.append_child("ETag").text() = parts[i].etag.c_str();
    part.append_child("ChecksumCRC32C").text() = parts[i].crc32c.c_str();
  }
  std::ostringstream out;
  xml.save(out, "", pugi::format_raw | pugi::format_no_declaration);
  return out.str();
}

}  // namespace ca4::archive
