#include "event/traceparent.h"

#include <cstddef>

#include "base/digest.h"

namespace ca4::event {
namespace {

constexpr size_t kVersion00Bytes = 55;
// Of later versions; ours to choose. No known one is near it.
constexpr size_t kBytesMax = 256;

bool is_id(std::string_view text) {
  return is_hex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

}  // namespace

bool is_traceparent(std::string_view text) {
  if (text.size() < kVersion00Bytes || text.size() > kBytesMax) return false;
  if (text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2);
  if (!is_hex(version) || version == "ff") return false;
  if (!is_id(text.substr(3, 32)) || !is_id(text.substr(36, 16)) || !is_hex(text.substr(53, 2))) {
    return false;
  }
  if (text.size() == kVersion00Bytes) return true;
  return version != "00" && text[kVersion00Bytes] == '-';
}

}  // namespace ca4::event
