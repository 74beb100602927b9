#include "base/printable.h"

#include <fmt/format.h>
#include <openssl/asn1.h>

#include <algorithm>

namespace ca4 {
namespace {

// How many bytes at the beginning of `text` are one character that a terminal only shows; 0: what
// is there is none.
size_t shown_bytes(std::string_view text) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (bytes[0] >= ' ' && bytes[0] < 0x7f) return 1;
  unsigned long code_point = 0;
  const int count =
      UTF8_getc(bytes, static_cast<int>(std::min<size_t>(text.size(), 4)), &code_point);
  constexpr unsigned long kFirstBehindC1 = 0xa0;
  return count > 0 && code_point >= kFirstBehindC1 ? static_cast<size_t>(count) : 0;
}

std::string escaped(std::string_view text, bool keeps_lines) {
  std::string out;
  while (!text.empty()) {
    size_t count = shown_bytes(text);
    if (count > 0 || (keeps_lines && (text[0] == '\n' || text[0] == '\t'))) {
      count = std::max<size_t>(count, 1);
      out += text.substr(0, count);
    } else {
      count = 1;
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[0]));
    }
    text.remove_prefix(count);
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) {
  return escaped(text, false);
}

std::string printable_lines(std::string_view text) {
  return escaped(text, true);
}

}  // namespace ca4
