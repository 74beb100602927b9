#include "aws/msk_token.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <iterator>
#include <span>

#include "base/clock.h"
#include "base/digest.h"

namespace ca4::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr int64_t kTokenS = 900;  // the longest that MSK takes
constexpr int64_t kUsPerS = 1'000'000;
constexpr int64_t kMsPerS = 1'000;

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.add(text);
  return hash.hex();
}

std::string hmac(std::string_view key, std::string_view text) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), out, &size);
  return {reinterpret_cast<const char*>(out), size};
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

std::string uri_encode(std::string_view text) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~";
  std::string out;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string query_text(const std::map<std::string, std::string>& query) {
  std::string text;
  for (const auto& [name, value] : query) {
    if (!text.empty()) text += '&';
    text += uri_encode(name) + "=" + uri_encode(value);
  }
  return text;
}

// "20130524T000000Z"
std::string amz_date(int64_t time_us) {
  std::string text = format_rfc3339(time_us).substr(0, 19);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text + 'Z';
}

// RFC 4648 section 5, without padding.
std::string base64url(std::string_view text) {
  std::string out = base64(std::as_bytes(std::span(text)));
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  out.erase(std::min(out.find('='), out.size()));
  return out;
}

}  // namespace

std::string presigned_query(const PresignedGet& request, const Keys& keys, const Scope& scope,
                            int64_t now_us, int64_t expires_s) {
  const std::string date = amz_date(now_us);
  const std::string day = date.substr(0, 8);
  const std::string scope_text =
      fmt::format("{}/{}/{}/aws4_request", day, scope.region, scope.service);
  std::map<std::string, std::string> query = request.query;
  query["X-Amz-Algorithm"] = kAlgorithm;
  query["X-Amz-Credential"] = keys.access_key_id + "/" + scope_text;
  query["X-Amz-Date"] = date;
  query["X-Amz-Expires"] = std::to_string(expires_s);
  query["X-Amz-SignedHeaders"] = "host";
  if (!keys.session_token.empty()) query["X-Amz-Security-Token"] = keys.session_token;

  const std::string payload =
      request.payload_sha256.empty() ? sha256_hex("") : request.payload_sha256;
  const std::string canonical = fmt::format("GET\n{}\n{}\nhost:{}\n\nhost\n{}", request.path,
                                            query_text(query), request.host, payload);
  const std::string to_sign =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, scope_text, sha256_hex(canonical));
  std::string key = hmac("AWS4" + keys.secret_access_key, day);
  for (const std::string_view part :
       {std::string_view(scope.region), std::string_view(scope.service),
        std::string_view("aws4_request")}) {
    key = hmac(key, part);
  }
  return query_text(query) + "&X-Amz-Signature=" + hex(hmac(key, to_sign));
}

MskToken msk_token(const Keys& keys, std::string_view region, int64_t now_us) {
  const std::string host = fmt::format("kafka.{}.amazonaws.com", region);
  const std::string query = presigned_query(
      {.host = host, .path = "/", .query = {{"Action", "kafka-cluster:Connect"}}}, keys,
      {.region = std::string(region), .service = "kafka-cluster"}, now_us, kTokenS);
  // Behind the signature, as there: for AWS's own statistics.
  const std::string url = fmt::format("https://{}/?{}&User-Agent=ca4", host, query);
  return {base64url(url), (now_us / kUsPerS + kTokenS) * kMsPerS};
}

}  // namespace ca4::aws
