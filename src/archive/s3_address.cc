#include "archive/s3_address.h"

#include <fmt/format.h>

#include <algorithm>

#include "aws/region.h"

namespace ca4::archive {
namespace {

// "General purpose buckets naming rules" of the S3 User Guide, as far as they keep the name a part
// of a host name and of a path.
bool is_bucket(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  const auto edge = [](char c) { return c != '-' && c != '.'; };
  return name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), fits) &&
         edge(name.front()) && edge(name.back()) && name.find("..") == std::string_view::npos;
}

// Whether names below it can exist: not below an address or a single word.
bool takes_names(std::string_view host) {
  const std::string_view name = host.substr(0, host.find(':'));
  return !host.starts_with('[') && name.find('.') != std::string_view::npos &&
         name.find_first_not_of("0123456789.") != std::string_view::npos;
}

// Clients leave a scheme's own port out of the Host header, and so out of the signature.
void drop_own_port(const std::string& scheme, std::string& host) {
  const std::string port = scheme == "https" ? ":443" : ":80";
  if (host.ends_with(port)) host.resize(host.size() - port.size());
}

}  // namespace

Result<S3Address> S3Address::make(const std::string& endpoint, const std::string& region,
                                  const std::string& bucket, Addressing addressing) {
  if (!is_bucket(bucket)) {
    return Status(Code::kConfig, fmt::format("archive.s3_bucket: '{}' is no name of a bucket: "
                                             "expected 3 to 63 of a-z 0-9 . -",
                                             bucket));
  }
  S3Address address;
  std::string server = endpoint.empty()
                           ? fmt::format("https://s3.{}.{}", region, aws::dns_suffix(region))
                           : endpoint;
  while (server.ends_with('/')) server.pop_back();
  const size_t end = server.find("://");
  address.scheme_ = server.substr(0, end);
  address.host_ = end == std::string::npos ? "" : server.substr(end + 3);
  const bool known = address.scheme_ == "http" || address.scheme_ == "https";
  if (!known || address.host_.empty() || address.host_.find_first_of("/?#@") != std::string::npos) {
    return Status(Code::kConfig, fmt::format("archive.s3_endpoint: '{}': expected http[s]://HOST"
                                             "[:PORT] and no path",
                                             endpoint));
  }
  drop_own_port(address.scheme_, address.host_);
  // A certificate for *.HOST does not hold for two names below it.
  const bool can_be_virtual = takes_names(address.host_) &&
                              (address.scheme_ == "http" || bucket.find('.') == std::string::npos);
  if (addressing == Addressing::kVirtual || (addressing == Addressing::kAuto && can_be_virtual)) {
    address.host_ = bucket + "." + address.host_;
  } else {
    address.bucket_in_path_ = "/" + bucket;
  }
  return address;
}

std::string S3Address::path(std::string_view key) const {
  if (key.empty() && !bucket_in_path_.empty()) return bucket_in_path_;
  return fmt::format("{}/{}", bucket_in_path_, key);
}

std::string S3Address::url(std::string_view key, const aws::Query& query) const {
  return fmt::format("{}://{}{}{}{}", scheme_, host_, aws::uri_encode(path(key), true),
                     query.empty() ? "" : "?", aws::query_text(query));
}

}  // namespace ca4::archive
