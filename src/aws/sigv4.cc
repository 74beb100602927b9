#include "aws/sigv4.h"

#include <fmt/format.h>

#include <iterator>

#include "base/clock.h"
#include "base/digest.h"

namespace ca4::aws {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.' || c == '~';
}

// "20130524T000000Z"
std::string amz_date(int64_t time_us) {
  std::string text;
  for (const char c : format_rfc3339(time_us).substr(0, 19)) {
    if (c != '-' && c != ':') text += c;
  }
  return text + 'Z';
}

// Without blanks at the ends, and one for several between words.
std::string trimmed(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == ' ' && (text.empty() || text.back() == ' ')) continue;
    text += c;
  }
  if (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

std::string signed_names(const SignableRequest& request) {
  std::string names;
  for (const auto& [name, value] : request.headers) {
    if (!names.empty()) names += ';';
    names += name;
  }
  return names;
}

std::string canonical_request(const SignableRequest& request) {
  std::string text = fmt::format("{}\n{}\n{}\n", request.method, uri_encode(request.path, true),
                                 query_text(request.query));
  for (const auto& [name, value] : request.headers) {
    fmt::format_to(std::back_inserter(text), "{}:{}\n", name, trimmed(value));
  }
  fmt::format_to(std::back_inserter(text), "\n{}\n{}", signed_names(request),
                 request.payload_sha256);
  return text;
}

std::string scope_text(const Scope& scope, std::string_view date) {
  return fmt::format("{}/{}/{}/aws4_request", date.substr(0, 8), scope.region, scope.service);
}

std::string signature(const SignableRequest& request, const Credentials& credentials,
                      const Scope& scope, std::string_view date) {
  const std::string to_sign =
      fmt::format("{}\n{}\n{}\n{}", kAlgorithm, date, scope_text(scope, date),
                  sha256_hex(canonical_request(request)));
  std::string key = hmac_sha256("AWS4" + credentials.secret_access_key, date.substr(0, 8));
  key = hmac_sha256(key, scope.region);
  key = hmac_sha256(key, scope.service);
  key = hmac_sha256(key, "aws4_request");
  return hex(hmac_sha256(key, to_sign));
}

}  // namespace

std::string uri_encode(std::string_view text, bool keep_slash) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (unreserved(c) || (c == '/' && keep_slash)) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string query_text(const Query& query) {
  // Encoding changes the order: '~' stays, while 'ä' becomes "%C3…".
  std::map<std::string, std::string> encoded;
  for (const auto& [name, value] : query) {
    encoded[uri_encode(name, false)] = uri_encode(value, false);
  }
  std::string text;
  for (const auto& [name, value] : encoded) {
    fmt::format_to(std::back_inserter(text), "{}{}={}", text.empty() ? "" : "&", name, value);
  }
  return text;
}

void sign(SignableRequest& request, const Credentials& credentials, const Scope& scope,
          int64_t time_us) {
  const std::string date = amz_date(time_us);
  request.headers["x-amz-date"] = date;
  if (!credentials.session_token.empty()) {
    request.headers["x-amz-security-token"] = credentials.session_token;
  }
  const std::string names = signed_names(request);
  request.headers["authorization"] = fmt::format(
      "{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm, credentials.access_key_id,
      scope_text(scope, date), names, signature(request, credentials, scope, date));
}

std::string presign(const SignableRequest& request, const Credentials& credentials,
                    const Scope& scope, int64_t time_us, int64_t expires_s) {
  const std::string date = amz_date(time_us);
  SignableRequest whole = request;
  whole.query["X-Amz-Algorithm"] = kAlgorithm;
  whole.query["X-Amz-Credential"] =
      fmt::format("{}/{}", credentials.access_key_id, scope_text(scope, date));
  whole.query["X-Amz-Date"] = date;
  whole.query["X-Amz-Expires"] = std::to_string(expires_s);
  whole.query["X-Amz-SignedHeaders"] = signed_names(request);
  if (!credentials.session_token.empty()) {
    whole.query["X-Amz-Security-Token"] = credentials.session_token;
  }
  return query_text(whole.query) + "&X-Amz-Signature=" + signature(whole, credentials, scope, date);
}

}  // namespace ca4::aws
