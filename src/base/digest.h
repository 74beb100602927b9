// SHA-256, HMAC and base64 of bytes, on OpenSSL.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace ca4 {

// SHA-256 (FIPS 180-4) of what is added, in pieces. One thread at a time.
class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  // Lower-case hex. Ends the hash: what is added next begins another.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_hex(std::string_view bytes);

// HMAC-SHA256 (RFC 2104): 32 raw bytes. `key` is at most 2 GiB.
std::string hmac_sha256(std::string_view key, std::string_view bytes);

// Lower-case hex of raw bytes.
std::string hex(std::string_view bytes);

// Whether `text` has no characters but those of lower-case hex.
bool is_hex(std::string_view text);

// RFC 4648 section 4, padded. At most 1 GiB.
std::string base64(std::span<const std::byte> bytes);

}  // namespace ca4
