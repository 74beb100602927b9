#include "event/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
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

// Between these the shortest text has no exponent.
constexpr float kOrdinaryMin = 1e-3F;
constexpr float kOrdinaryMax = 1e5F;

// A float32 has at most nine digits; these fill fewer up to nine.
constexpr int kDigitsMax = 9;
constexpr std::array<uint32_t, kDigitsMax + 1> kPowersOf10 = {
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000, 1'000'000'000};

int count_digits(uint32_t value) {
  const auto guess = static_cast<size_t>(std::bit_width(value)) * 1233U >> 12U;  // times log10(2)
  return static_cast<int>(guess) + (value >= kPowersOf10[guess] ? 1 : 0);
}

// The nine digits of a number below 10^9, without a branch: halves, then quarters, then single
// digits side by side in one integer, whose lowest byte is the first in memory.
void write_nine_digits(char* to, uint32_t value) {
  *to = static_cast<char>('0' + value / kPowersOf10[8]);
  const uint32_t eight = value % kPowersOf10[8];
  uint64_t digits = eight / 10'000 | static_cast<uint64_t>(eight % 10'000) << 32U;
  const uint64_t hundreds = ((digits * 10'486) >> 20U) & 0x0000'007F'0000'007F;
  digits = hundreds | (digits - hundreds * 100) << 16U;
  const uint64_t tens = ((digits * 103) >> 10U) & 0x000F'000F'000F'000F;
  digits = tens | (digits - tens * 10) << 8U;
  digits += 0x3030'3030'3030'3030;
  std::memcpy(to + 1, &digits, sizeof digits);
}

// As `write_json_float`, of a number from kOrdinaryMin to kOrdinaryMax, in half the time that
// std::to_chars takes (event_bench, wire_json).
char* write_ordinary(char* to, float magnitude) {
  const auto decimal = fmt::detail::dragonbox::to_decimal(magnitude);
  const int count = count_digits(decimal.significand);
  const int point = count + decimal.exponent;  // digits before it; of 0.00123 it is -2
  std::array<char, kDigitsMax> digits;
  write_nine_digits(digits.data(),
                    decimal.significand * kPowersOf10[static_cast<size_t>(kDigitsMax - count)]);
  if (point <= 0) {
    constexpr std::array<char, 8> kZeros = {'0', '.', '0', '0', '0', '0', '0', '0'};
    std::memcpy(to, kZeros.data(), kZeros.size());
    to += 2 - point;
    std::memcpy(to, digits.data(), digits.size());
    return to + count;
  }
  std::memcpy(to, digits.data(), digits.size());  // what stands behind a short integer is its zeros
  to[point] = '.';
  std::memcpy(to + point + 1, digits.data() + point, digits.size() - static_cast<size_t>(point));
  return to + 1 + std::max(count, point + 1);
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

char* write_json_float(char* to, float value) {
  const float magnitude = std::fabs(value);
  if (magnitude >= kOrdinaryMin && magnitude < kOrdinaryMax) {
    *to = '-';
    to += std::signbit(value) ? 1 : 0;
    return write_ordinary(to, magnitude);
  }
  char* end = std::to_chars(to, to + kJsonFloatBytesMax, value).ptr;
  if (std::string_view(to, static_cast<size_t>(end - to)).find_first_of(".e") ==
      std::string_view::npos) {
    end = std::copy_n(".0", 2, end);
  }
  return end;
}

std::string_view excerpt(std::string_view text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end);
}

}  // namespace ca4::event
