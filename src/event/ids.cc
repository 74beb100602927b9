#include <openssl/rand.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "event/event.h"
#include "event/json_text.h"

namespace ca4::event {

void assign_id(Event& event, std::string_view id) {
  event.metadata_id = id;
  std::string member = R"("metadata_id":)";
  append_json_string(member, id);
  member += ',';
  event.meta_json.insert(1, member);  // after the opening brace
}

std::string make_uuid_v7(int64_t unix_us, const std::array<uint8_t, 10>& entropy) {
  const auto unix_ms = static_cast<uint64_t>(unix_us) / 1000;
  std::array<uint8_t, 16> bytes;
  for (size_t i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(unix_ms >> (8 * (5 - i)));
  for (size_t i = 0; i < entropy.size(); ++i) bytes[6 + i] = entropy[i];
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0FU) | 0x70U);  // version 7
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3FU) | 0x80U);  // variant 10

  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kHex[bytes[i] >> 4U];
    text += kHex[bytes[i] & 15U];
  }
  return text;
}

std::string make_uuid_v7() {
  std::array<uint8_t, 10> entropy{};
  RAND_bytes(entropy.data(), static_cast<int>(entropy.size()));
  return make_uuid_v7(SystemClock().now_us(), entropy);
}

}  // namespace ca4::event
