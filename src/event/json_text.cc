#include "event/json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>

namespace ca4::event {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Moves `pos` past a run of digits; false when there is none.
bool skip_digits(std::string_view token, size_t& pos) {
  const size_t start = pos;
  while (pos < token.size() && is_digit(token[pos])) ++pos;
  return pos > start;
}

void append_escape(std::string& out, char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default: {
      const auto byte = static_cast<unsigned char>(c);
      out += "\\u00";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
}

bool needs_escape(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

// Whether one of these eight bytes needs an escape. The top bit of a byte of `(x - n) & ~x` is set
// where the byte is below n; borrows only spoil bytes above one that is below n itself.
bool any_needs_escape(const char* eight) {
  constexpr uint64_t kOnes = 0x0101'0101'0101'0101;
  uint64_t x = 0;
  std::memcpy(&x, eight, sizeof x);
  const uint64_t quote = x ^ (kOnes * '"');
  const uint64_t backslash = x ^ (kOnes * '\\');
  const uint64_t found =
      ((x - kOnes * 0x20) & ~x) | ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash);
  return (found & (kOnes * 0x80)) != 0;
}

// The first byte from `i` on that needs an escape; the end when none does.
size_t find_escape(std::string_view text, size_t i) {
  while (i + 8 <= text.size() && !any_needs_escape(text.data() + i)) i += 8;
  while (i < text.size() && !needs_escape(text[i])) ++i;
  return i;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  for (size_t from = 0;;) {
    const size_t to = find_escape(text, from);
    out.append(text, from, to - from);
    if (to == text.size()) break;
    append_escape(out, text[to]);
    from = to + 1;
  }
  out += '"';
}

bool is_json_number(std::string_view token) {
  size_t pos = 0;
  if (pos < token.size() && token[pos] == '-') ++pos;
  if (pos < token.size() && token[pos] == '0') {
    ++pos;
  } else if (!skip_digits(token, pos)) {
    return false;
  }
  if (pos < token.size() && token[pos] == '.') {
    ++pos;
    if (!skip_digits(token, pos)) return false;
  }
  if (pos < token.size() && (token[pos] == 'e' || token[pos] == 'E')) {
    ++pos;
    if (pos < token.size() && (token[pos] == '+' || token[pos] == '-')) ++pos;
    if (!skip_digits(token, pos)) return false;
  }
  return pos == token.size();
}

double nearest_double(std::string_view token) {
  double value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  // That says neither whether it is too large or too small, nor how it was rounded.
  if (error == std::errc::result_out_of_range) {
    value = std::strtod(std::string(token.data(), end).c_str(), nullptr);
  }
  return value;
}

bool is_finite_number(std::string_view token) {
  return std::isfinite(nearest_double(token));
}

std::string_view excerpt(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

}  // namespace ca4::event
