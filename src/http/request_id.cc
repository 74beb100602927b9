#include "http/request_id.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <cstdint>
#include <string_view>

namespace ca4::http {
namespace {

constexpr size_t kBytesMax = 64;

bool is_request_id(std::string_view text) {
  constexpr std::string_view kAllowed =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  return !text.empty() && text.size() <= kBytesMax &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

std::string random_prefix() {
  uint32_t number = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof number);
  return fmt::format("{:08x}", number);
}

}  // namespace

RequestIds::RequestIds() : prefix_(random_prefix()) {}

std::string RequestIds::of(const Request& request) const {
  const std::string_view given = request.header(kRequestId);
  return is_request_id(given) ? std::string(given) : fmt::format("{}-{:x}", prefix_, request.id);
}

}  // namespace ca4::http
