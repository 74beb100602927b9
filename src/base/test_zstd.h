// For tests: what a client that compresses sends. Whoever includes it links ca4::zstd.
#pragma once

#include <zstd.h>

#include <string>

namespace ca4 {

inline std::string zstd(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

}  // namespace ca4
