#include "event/float_text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace ca4::event {
namespace {

// Numbers are printed some at a time, step by step: each step is short, so that the processor works
// at several numbers at once. And it can't guess anything about an embedding's next number, so what
// depends on it is picked by masks, not by jumps, of which every other one would be a wrong guess.
constexpr size_t kTogether = 16;

constexpr uint32_t kMantissaBits = 23;
constexpr uint32_t kFraction = (1U << kMantissaBits) - 1;
constexpr uint32_t kNoSign = ~0U >> 1U;

// What the mantissa of an ordinary number is to be multiplied with, by how many of its bits are
// behind the point: 10^decimals, so many that neighbours are 1 to 10 apart. The product has kBits
// bits behind its point, and less than 64 in all.
constexpr uint32_t kBits = 33;
struct Scale {
  uint64_t factor = 1;
  int decimals = 0;
};
constexpr auto kScales = [] {
  std::array<Scale, kBits + 1> scales{};
  for (uint32_t bits = 0; bits <= kBits; ++bits) {
    for (; scales[bits].factor < (uint64_t{1} << bits); scales[bits].factor *= 10) {
      ++scales[bits].decimals;
    }
    scales[bits].factor <<= kBits - bits;
  }
  return scales;
}();

// A float32 has at most nine digits; these fill fewer up to nine.
constexpr int kDigitsMax = 9;
constexpr std::array<uint32_t, 3> kFill = {1, 10, 100};

struct Number {
  bool ordinary = false;
  uint32_t nine_digits = 0;
  int point = 0;  // how many of them are before the point; of 0.00123 it is -2
  char first = '0';
  uint64_t others = 0;  // the other eight as text, the lowest byte first in memory
  int count = 0;        // without the zeros at the end
};

// Of these the shortest text has no exponent, and kScales knows them: from 2^-10 to below 10^5, but
// for powers of two, whose lower neighbour is nearer than the upper one.
bool is_ordinary(uint32_t magnitude) {
  constexpr auto kMin = std::bit_cast<uint32_t>(1e-3F);
  constexpr auto kMax = std::bit_cast<uint32_t>(1e5F);
  return magnitude - kMin < kMax - kMin && (magnitude & kFraction) != 0;
}

// The shortest decimal that reads back as this number, and of these the nearest: what "The
// Schubfach way to render doubles" (Giulietti, 2020) does, without approximations, as 64 bits hold
// all that comes up.
void shorten(float value, Number& number) {
  constexpr uint64_t kOne = uint64_t{1} << kBits;
  const uint32_t magnitude = std::bit_cast<uint32_t>(value) & kNoSign;
  number.ordinary = is_ordinary(magnitude);
  const uint32_t behind = 127 + kMantissaBits - (magnitude >> kMantissaBits);
  const Scale& scale = kScales[number.ordinary ? behind : 0];
  const uint64_t mantissa = (magnitude & kFraction) | (kFraction + 1);
  const uint64_t exact = mantissa * scale.factor;
  // Half the way to a neighbour; there a reader takes the one whose mantissa is even.
  const uint64_t reach = scale.factor / 2 - (mantissa & 1U);

  const auto whole = static_cast<uint32_t>(exact >> kBits);
  const uint32_t tens = whole / 10 * 10;
  const uint64_t over = exact - tens * kOne;
  const auto down = static_cast<uint32_t>(over <= reach);
  const auto up = static_cast<uint32_t>(10 * kOne - over <= reach);
  const auto rounded = static_cast<uint32_t>((exact + kOne / 2 - 1 + (whole & 1U)) >> kBits);
  const uint32_t digits = rounded ^ ((rounded ^ (tens + 10 * up)) & (0 - (down | up)));

  const int missing = (digits < 100'000'000 ? 1 : 0) + (digits < 10'000'000 ? 1 : 0);
  number.nine_digits = digits * kFill[static_cast<size_t>(missing)];
  number.point = kDigitsMax - missing - scale.decimals;
}

// Halves, then quarters, then single digits side by side.
void print_digits(Number& number) {
  constexpr uint32_t kEight = 100'000'000;
  const uint32_t eight = number.nine_digits % kEight;
  uint64_t digits = eight / 10'000 | static_cast<uint64_t>(eight % 10'000) << 32U;
  const uint64_t hundreds = ((digits * 10'486) >> 20U) & 0x0000'007F'0000'007F;
  digits = hundreds | (digits - hundreds * 100) << 16U;
  const uint64_t tens = ((digits * 103) >> 10U) & 0x000F'000F'000F'000F;
  digits = tens | (digits - tens * 10) << 8U;
  number.first = static_cast<char>('0' + number.nine_digits / kEight);
  number.others = digits + 0x3030'3030'3030'3030;
  number.count = kDigitsMax - std::countl_zero(digits) / 8;
}

// Zeros in front of a number below 1, or a point among the digits. Writes up to 17 bytes.
char* write_ordinary(char* to, const Number& number) {
  constexpr std::array<char, 8> kZeros = {'0', '.', '0', '0', '0', '0', '0', '0'};
  std::memcpy(to, kZeros.data(), kZeros.size());
  const auto large = static_cast<uint64_t>(number.point > 0);
  to += static_cast<uint64_t>(2 - number.point) & (large - 1);
  *to = number.first;
  const uint32_t at = 8 * (static_cast<uint32_t>(number.point - 1) % 8);
  const uint64_t behind = (0 - large) << at;
  const uint64_t text =
      (number.others & ~behind) | large * '.' << at | (number.others & behind) << 8U;
  std::memcpy(to + 1, &text, sizeof text);
  to[kDigitsMax] = static_cast<char>(number.others >> 56U);  // what the point has moved out
  return to + large + std::max(number.count, static_cast<int>(large) * (number.point + 1));
}

char* write_other(char* to, float magnitude) {
  char* end = std::to_chars(to, to + kFloatTextBytesMax - 2, magnitude).ptr;
  if (std::string_view(to, static_cast<size_t>(end - to)).find_first_of(".e") ==
      std::string_view::npos) {
    end = std::copy_n(".0", 2, end);
  }
  return end;
}

}  // namespace

char* write_float_texts(char* to, std::span<const float> values) {
  std::array<Number, kTogether> numbers;
  for (; !values.empty(); values = values.subspan(std::min(kTogether, values.size()))) {
    const std::span<const float> some = values.first(std::min(kTogether, values.size()));
    for (size_t i = 0; i < some.size(); ++i) shorten(some[i], numbers[i]);
    for (size_t i = 0; i < some.size(); ++i) print_digits(numbers[i]);
    for (size_t i = 0; i < some.size(); ++i) {
      const auto bits = std::bit_cast<uint32_t>(some[i]);
      *to = '-';
      to += bits > kNoSign ? 1 : 0;
      to = numbers[i].ordinary ? write_ordinary(to, numbers[i])
                               : write_other(to, std::bit_cast<float>(bits & kNoSign));
      *to++ = ',';
    }
  }
  return to;
}

}  // namespace ca4::event
