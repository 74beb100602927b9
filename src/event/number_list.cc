#include "event/number_list.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <system_error>

#include "event/json_text.h"

namespace ca4::event {
namespace {

static_assert(std::endian::native == std::endian::little, "the first digit is the lowest byte");

// More than this beside the list is not copied: then the list is not where the time goes.
constexpr size_t kRestBytesMax = 64 << 10;
// The bytes that `find_digits` sees; a number must end within them.
constexpr size_t kSeenBytes = 32;
// So many decimals become two integers of eight digits; more are cut off.
constexpr size_t kDecimalsMax = 16;
// What `read_plain` may look at from the number's first byte on.
constexpr ptrdiff_t kWindowBytes = kSeenBytes + kDecimalsMax;

constexpr uint64_t kEveryByte = 0x0101'0101'0101'0101;

bool is_space(char c) {
  return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

bool is_of_number(char c) {
  return (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E';
}

uint64_t load_eight(const char* from) {
  uint64_t bytes = 0;
  std::memcpy(&bytes, from, sizeof bytes);
  return bytes;
}

// The number of eight decimal digits, one a byte from 0 to 9, the lowest byte first: neighbours
// become pairs, pairs fours, and fours the whole.
uint64_t join_eight(uint64_t digits) {
  constexpr uint64_t kPairs = 0x0000'00FF'0000'00FF;
  const uint64_t pairs = digits * 10 + (digits >> 8U);
  return ((pairs & kPairs) * (100 + (1'000'000ULL << 32U)) +
          ((pairs >> 16U) & kPairs) * (1 + (10'000ULL << 32U))) >>
         32U;
}

// Ones for so many bytes that are kept, read from an offset, and zeros behind them.
constexpr std::array<unsigned char, kSeenBytes + kDecimalsMax> kKeep = [] {
  std::array<unsigned char, kSeenBytes + kDecimalsMax> keep{};
  for (size_t i = 0; i < kSeenBytes; ++i) keep[i] = 0xFF;
  return keep;
}();

// Whether one float is the nearest one of all doubles that are nearest to `whole` and this fraction
// with any digits behind it; then that float is `out`.
//
// Let u be 2^-53 and x the number as written: whole + F + rest, where F are its first 16 decimals
// and the rest is below 10^-16, and 0 if nothing was cut off. `fraction` is F but for a factor of
// (1 + u)^3: its halves are exact, each factor and product is off by one of (1 + u), and so is
// their sum. With `whole` added, `sum` is within 4.1 u of x - rest, relatively, as none is
// negative. (Where the compiler fuses two of these operations, one error less is made.) 2^-50 is 8
// u: after their own rounding `low` is at most sum (1 - 6.9 u), which is not above x, and `high`,
// with at least 10^-16 added for the rest, not below it. Rounding to the nearest is monotonous, to
// double and to float: the float of x's nearest double lies between those of `low` and `high`,
// which are doubles. Where these are the same, as with nearly all numbers, so is it.
bool nearest_float(uint64_t whole, double fraction, bool cut_off, float& out) {
  constexpr double kSlack = 0x1p-50;
  // Not a choice between two numbers, which would be a branch that nobody can foresee.
  const auto rest = std::bit_cast<double>(std::bit_cast<uint64_t>(2e-16) & -uint64_t{cut_off});
  const double sum = static_cast<double>(static_cast<int64_t>(whole)) + fraction;
  const double low = sum * (1 - kSlack);
  const double high = sum * (1 + kSlack) + rest;
  out = static_cast<float>(low);
  return out == static_cast<float>(high);
}

// The number of so many digits, if it is one that `join_eight` can be asked for.
bool read_whole(const char* text, size_t count, uint64_t& out) {
  if (count == 1) {
    out = static_cast<uint64_t>(*text - '0');
    return true;
  }
  if (count == 0 || count > 8 || *text == '0') return false;
  // Zeros before them, in place of what stands behind.
  out = join_eight((load_eight(text) ^ kEveryByte * '0') << (64 - 8 * count));
  return true;
}

// Reads a number without exponent at `at`, where kWindowBytes may be read, and moves `at` behind
// it. False, with `at` where it was, when it is none, or one that has to be read exactly.
bool read_plain(const char*& at, float& out) {
  const auto negative = static_cast<uint32_t>(*at == '-');
  const char* const first = at + negative;
  uint64_t others = ~static_cast<uint64_t>(find_digits(at)) >> negative;
  const auto whole_digits = static_cast<size_t>(std::countr_zero(others));
  uint64_t whole = 0;
  if (!read_whole(first, whole_digits, whole)) return false;
  double fraction = 0;
  bool cut_off = false;
  size_t stop = whole_digits;
  if (first[stop] == '.') {
    others &= others - 1;
    stop = static_cast<size_t>(std::countr_zero(others));
    const size_t count = stop - whole_digits - 1;
    if (count == 0) return false;
    fraction = read_fraction(first + whole_digits + 1, count);
    cut_off = count > kDecimalsMax;
  }
  // What the mask has not seen counts as no digit: the number may go on there.
  const char* const behind = first + stop;
  if (stop + negative >= kSeenBytes) return false;
  if (*behind != ',' && (*behind | 0x20) == 'e') return false;
  float magnitude = 0;
  if (!nearest_float(whole, fraction, cut_off, magnitude)) return false;
  out = std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | negative << 31U);
  at = behind;
  return true;
}

// The same for any number, exactly, and slowly; nothing is read at or behind `end`. False for an
// exponent of a length that the parser of all of JSON may refuse, too.
bool read_exactly(const char*& at, const char* end, float& out) {
  constexpr size_t kExponentBytesMax = 8;
  const char* behind = at;
  while (behind != end && is_of_number(*behind)) ++behind;
  const std::string_view token(at, static_cast<size_t>(behind - at));
  if (!is_json_number(token)) return false;
  const size_t exponent = token.find_last_of("eE");
  if (exponent != std::string_view::npos && token.size() - exponent > kExponentBytesMax)
    return false;
  double wide = 0;
  if (std::from_chars(at, behind, wide).ec != std::errc()) return false;
  out = static_cast<float>(wide);
  at = behind;
  return std::isfinite(out);
}

const char* skip_space(const char* at, const char* end) {
  while (at != end && is_space(*at)) ++at;
  return at;
}

std::string_view skip_space(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* const at = skip_space(text.data(), end);
  return {at, static_cast<size_t>(end - at)};
}

// Where the list begins; npos when there is none in sight.
size_t find_list(std::string_view payload) {
  constexpr std::string_view kName = R"("embedding)";
  const std::string_view searched = payload.substr(0, CutPayload::kSearchBytes);
  for (size_t from = searched.find(kName); from != std::string_view::npos;
       from = searched.find(kName, from + 1)) {
    std::string_view behind = payload.substr(from + kName.size());
    if (behind.starts_with(R"(_b64")")) break;  // not both; base64 would be searched in vain
    if (!behind.starts_with('"')) continue;
    behind = skip_space(behind.substr(1));
    if (!behind.starts_with(':')) continue;
    behind = skip_space(behind.substr(1));
    if (behind.starts_with('[')) return payload.size() - behind.size();
  }
  return std::string_view::npos;
}

}  // namespace

uint32_t find_digits_portably(const char* text) {
  uint32_t mask = 0;
  for (uint32_t i = 0; i < kSeenBytes; i += 8) {
    // A digit, with '0' taken away from its bits, is below 10. What is not has its top bit set
    // already, or gets it from the sum, which does not carry into its neighbour.
    const uint64_t bytes = load_eight(text + i) ^ kEveryByte * '0';
    const uint64_t others = bytes | ((bytes & kEveryByte * 0x7F) + kEveryByte * (0x80 - 10));
    const uint64_t digits = ~others >> 7U & kEveryByte;
    // Brings the eight bits side by side, into the top byte.
    mask |= static_cast<uint32_t>(digits * 0x0102'0408'1020'4080 >> 56U) << i;
  }
  return mask;
}

uint32_t find_digits(const char* text) {
#ifdef __SSE2__
  const auto sixteen = [](const char* from) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    // '0' becomes the least signed byte.
    const __m128i moved = _mm_add_epi8(bytes, _mm_set1_epi8(static_cast<char>(-128 - '0')));
    return static_cast<uint32_t>(
        _mm_movemask_epi8(_mm_cmplt_epi8(moved, _mm_set1_epi8(-128 + 10))));
  };
  return sixteen(text) | sixteen(text + 16) << 16U;
#else
  return find_digits_portably(text);
#endif
}

double read_fraction_portably(const char* text, size_t count) {
  const auto* keep = reinterpret_cast<const char*>(kKeep.data() + kSeenBytes - count);
  const uint64_t high = (load_eight(text) ^ kEveryByte * '0') & load_eight(keep);
  const uint64_t low = (load_eight(text + 8) ^ kEveryByte * '0') & load_eight(keep + 8);
  return static_cast<double>(static_cast<int64_t>(join_eight(high))) * 1e-8 +
         static_cast<double>(static_cast<int64_t>(join_eight(low))) * 1e-16;
}

double read_fraction(const char* text, size_t count) {
#ifdef __SSE2__
  const auto load = [](const void* from) {
    return _mm_loadu_si128(static_cast<const __m128i*>(from));
  };
  const __m128i digits = _mm_and_si128(_mm_xor_si128(load(text), _mm_set1_epi8('0')),
                                       load(kKeep.data() + kSeenBytes - count));
  const __m128i first =
      _mm_mullo_epi16(_mm_and_si128(digits, _mm_set1_epi16(0xFF)), _mm_set1_epi16(10));
  const __m128i pairs = _mm_add_epi16(first, _mm_srli_epi16(digits, 8));
  const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
  const __m128i eights =
      _mm_madd_epi16(_mm_packs_epi32(fours, fours), _mm_set1_epi32(1 << 16 | 10'000));
  const __m128d halves = _mm_mul_pd(_mm_cvtepi32_pd(eights), _mm_set_pd(1e-16, 1e-8));
  return _mm_cvtsd_f64(_mm_add_sd(halves, _mm_unpackhi_pd(halves, halves)));
#else
  return read_fraction_portably(text, count);
#endif
}

NumberList read_number_list(std::string_view text, std::span<float, kDimMax> out) {
  // More numbers than these and a part of the others are not read exactly: that is slower than the
  // parser of all of JSON is with them.
  constexpr size_t kExactFree = 16;
  constexpr size_t kPlainForOneExact = 8;
  if (!text.starts_with('[')) return {};
  const char* const end = text.data() + text.size();
  const char* at = skip_space(text.data() + 1, end);
  size_t exact = 0;
  for (size_t count = 0; count < kDimMax;) {
    const bool plain = end - at >= kWindowBytes && read_plain(at, out[count]);
    if (!plain) {
      if (++exact > kExactFree + count / kPlainForOneExact) return {};
      if (!read_exactly(at, end, out[count])) return {};
    }
    ++count;
    // As nearly always; the window reaches farther than this.
    if (plain && *at == ',') {
      ++at;
      // As foreseeable as this it is a branch: a sum would be waited for before the next number can
      // be looked at, which would take half as long again.
      if (__builtin_expect_with_probability(*at == ' ', 1, 0.995)) ++at;
      if (!is_space(*at)) continue;
    } else {
      at = skip_space(at, end);
      if (at == end) return {};
      const char mark = *at++;
      if (mark == ']') return {static_cast<size_t>(at - text.data()), count};
      if (mark != ',') return {};
    }
    at = skip_space(at, end);
  }
  return {};
}

bool CutPayload::cut(std::string_view payload, std::span<float, kDimMax> numbers) {
  count_ = 0;
  const size_t place = find_list(payload);
  if (place == std::string_view::npos) return false;
  const NumberList list = read_number_list(payload.substr(place), numbers);
  if (list.count == 0 || payload.size() - list.bytes > kRestBytesMax) return false;
  rest_.assign(payload, 0, place);
  rest_ += "[]";
  rest_.append(payload, place + list.bytes);
  rest_bytes_ = rest_.size();
  rest_.append(Parser::kPaddingBytes, ' ');
  place_ = place;
  count_ = list.count;
  return true;
}

}  // namespace ca4::event
