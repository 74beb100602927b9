#include "base/crc32c.h"

#include <array>
#include <boost/crc.hpp>
#include <cstddef>

#include "base/digest.h"

namespace ca4 {

uint32_t crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

std::string crc32c_base64(std::string_view bytes) {
  const uint32_t sum = crc32c(bytes);
  const std::array<std::byte, 4> raw = {
      static_cast<std::byte>(sum >> 24U), static_cast<std::byte>(sum >> 16U),
      static_cast<std::byte>(sum >> 8U), static_cast<std::byte>(sum)};
  return base64(raw);
}

}  // namespace ca4
