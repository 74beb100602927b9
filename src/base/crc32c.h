// CRC-32C (Castagnoli; RFC 3720 appendix B.4), as S3 checks objects with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ca4 {

uint32_t crc32c(std::string_view bytes);

// Base64 of the checksum's four bytes, the highest first: the value of `x-amz-checksum-crc32c`.
std::string crc32c_base64(std::string_view bytes);

}  // namespace ca4
