#include "aws/msk_token.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "aws/sigv4.h"
#include "base/digest.h"

namespace ca4::aws {
namespace {

constexpr int64_t kTokenS = 900;  // the longest that MSK takes
constexpr int64_t kUsPerS = 1'000'000;
constexpr int64_t kMsPerS = 1'000;

// RFC 4648 section 5, without padding.
std::string base64url(std::string_view text) {
  std::string out = base64(std::as_bytes(std::span(text)));
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  out.erase(std::min(out.find('='), out.size()));
  return out;
}

}  // namespace

MskToken msk_token(const Credentials& credentials, std::string_view region, int64_t now_us) {
  const std::string host = fmt::format("kafka.{}.amazonaws.com", region);
  const SignableRequest request{.method = "GET",
                                .path = "/",
                                .query = {{"Action", "kafka-cluster:Connect"}},
                                .headers = {{"host", host}},
                                .payload_sha256 = Sha256().hex()};
  const std::string query =
      presign(request, credentials, {.region = std::string(region), .service = "kafka-cluster"},
              now_us, kTokenS);
  // Behind the signature, as there: for AWS's own statistics.
  const std::string url = fmt::format("https://{}/?{}&User-Agent=ca4", host, query);
  return {base64url(url), (now_us / kUsPerS + kTokenS) * kMsPerS};
}

}  // namespace ca4::aws
