#include "producer/resize_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ca4::producer {
namespace {

constexpr int32_t kHalf = 1 << (kWeightBits - 1);

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

void resize_sample(const uint8_t* in, const Taps& tap, uint8_t* out) {
  std::array<int32_t, 3> sums{kHalf, kHalf, kHalf};
  const uint8_t* sample = in + static_cast<size_t>(tap.first) * 3;
  for (const int32_t weight : tap.weights) {
    for (size_t channel = 0; channel < 3; ++channel) sums[channel] += weight * sample[channel];
    sample += 3;
  }
  for (size_t channel = 0; channel < 3; ++channel) out[channel] = to_byte(sums[channel]);
}

// Of the columns from `begin` on.
void mix_columns(const uint8_t* rows, const Taps& tap, std::span<uint8_t> out, size_t begin) {
  for (size_t i = begin; i < out.size(); ++i) {
    int32_t sum = kHalf;
    const uint8_t* sample = rows + i;
    for (const int32_t weight : tap.weights) {
      sum += weight * *sample;
      sample += out.size();
    }
    out[i] = to_byte(sum);
  }
}

#if defined(__x86_64__)

// A weight of 22 bits is two of 11, so that one instruction multiplies 16 samples by 16-bit weights
// and adds neighbours; the sums of both, put together again, are exact.
constexpr int kLowBits = 11;
constexpr int32_t kLowMask = (1 << kLowBits) - 1;

int32_t pair(int32_t first, int32_t second) {
  return first | second << 16;
}

std::array<int32_t, 4> four_weights(std::span<const int32_t> weights) {
  std::array<int32_t, 4> w{};
  std::copy_n(weights.begin(), std::min(w.size(), weights.size()), w.begin());
  return {pair(w[0] >> kLowBits, w[1] >> kLowBits), pair(w[2] >> kLowBits, w[3] >> kLowBits),
          pair(w[0] & kLowMask, w[1] & kLowMask), pair(w[2] & kLowMask, w[3] & kLowMask)};
}

// One RGB sample out of those from `in` on. Reads 16 bytes for four samples of 12.
__attribute__((target("avx2"))) void resize_sample_avx2(
    const uint8_t* in, std::span<const std::array<int32_t, 4>> fours, uint8_t* out) {
  // Reds, greens and blues of two neighbours side by side, as 16-bit numbers; -1 makes a zero.
  const __m256i side_by_side =
      _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                       -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  const __m256i high_pairs = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const __m256i low_pairs = _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3);
  __m256i high = _mm256_setzero_si256();
  __m256i low = _mm256_setzero_si256();
  for (const auto& four : fours) {
    const __m256i weights =
        _mm256_castsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(four.data())));
    const __m256i samples = _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in))),
        side_by_side);
    high = _mm256_add_epi32(
        high, _mm256_madd_epi16(samples, _mm256_permutevar8x32_epi32(weights, high_pairs)));
    low = _mm256_add_epi32(
        low, _mm256_madd_epi16(samples, _mm256_permutevar8x32_epi32(weights, low_pairs)));
    in += 12;
  }
  const __m256i both = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  const __m128i sum =
      _mm_add_epi32(_mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1)),
                    _mm_set1_epi32(kHalf));
  const __m128i words = _mm_packs_epi32(_mm_srai_epi32(sum, kWeightBits), _mm_setzero_si128());
  const int rgb = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  std::memcpy(out, &rgb, 3);
}

// 16 columns of two rows, added to the sums of high and low weights.
struct ColumnSums {
  __m256i high_even, high_odd, low_even, low_odd;
};

__attribute__((target("avx2"))) inline __m256i sixteen(const uint8_t* bytes) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

__attribute__((target("avx2"))) inline void add_two_rows(const uint8_t* first,
                                                         const uint8_t* second,
                                                         int32_t first_weight,
                                                         int32_t second_weight, ColumnSums& sums) {
  const __m256i even = _mm256_unpacklo_epi16(sixteen(first), sixteen(second));
  const __m256i odd = _mm256_unpackhi_epi16(sixteen(first), sixteen(second));
  const __m256i high = _mm256_set1_epi32(pair(first_weight >> kLowBits, second_weight >> kLowBits));
  const __m256i low = _mm256_set1_epi32(pair(first_weight & kLowMask, second_weight & kLowMask));
  sums.high_even = _mm256_add_epi32(sums.high_even, _mm256_madd_epi16(even, high));
  sums.high_odd = _mm256_add_epi32(sums.high_odd, _mm256_madd_epi16(odd, high));
  sums.low_even = _mm256_add_epi32(sums.low_even, _mm256_madd_epi16(even, low));
  sums.low_odd = _mm256_add_epi32(sums.low_odd, _mm256_madd_epi16(odd, low));
}

__attribute__((target("avx2"))) inline __m256i whole(__m256i high, __m256i low) {
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kLowBits), low);
  return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalf)), kWeightBits);
}

__attribute__((target("avx2"))) void mix_rows_avx2(const uint8_t* rows, const Taps& tap,
                                                   std::span<uint8_t> out) {
  const std::vector<int32_t>& weights = tap.weights;
  size_t column = 0;
  for (; column + 16 <= out.size(); column += 16) {
    ColumnSums sums{};
    const uint8_t* row = rows + column;
    size_t i = 0;
    for (; i + 1 < weights.size(); i += 2, row += 2 * out.size()) {
      add_two_rows(row, row + out.size(), weights[i], weights[i + 1], sums);
    }
    if (i < weights.size()) add_two_rows(row, row, weights[i], 0, sums);
    const __m256i words = _mm256_packs_epi32(whole(sums.high_even, sums.low_even),
                                             whole(sums.high_odd, sums.low_odd));
    const __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(&out[column]), bytes);
  }
  mix_columns(rows, tap, out, column);
}

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2");
  return has;
}

#else

bool has_avx2() {
  return false;
}

#endif

}  // namespace

RowResizer::RowResizer(std::vector<Taps> taps) : taps_(std::move(taps)) {
#if defined(__x86_64__)
  if (!has_avx2()) return;
  for (const Taps& tap : taps_) {
    const std::span<const int32_t> weights(tap.weights);
    for (size_t i = 0; i < weights.size(); i += 4) {
      fours_.push_back(four_weights(weights.subspan(i)));
    }
  }
#endif
}

void RowResizer::resize_plain(std::span<const uint8_t> in, std::span<uint8_t> out) const {
  for (size_t i = 0; i < taps_.size(); ++i) resize_sample(in.data(), taps_[i], &out[i * 3]);
}

void RowResizer::resize(std::span<const uint8_t> in, std::span<uint8_t> out) const {
#if defined(__x86_64__)
  if (has_avx2()) return resize_avx2(in, out);
#endif
  resize_plain(in, out);
}

#if defined(__x86_64__)
void RowResizer::resize_avx2(std::span<const uint8_t> in, std::span<uint8_t> out) const {
  const Four* next = fours_.data();
  for (size_t i = 0; i < taps_.size(); ++i) {
    const std::span fours(next, (taps_[i].weights.size() + 3) / 4);
    const size_t first = static_cast<size_t>(taps_[i].first) * 3;
    if (first + fours.size() * 12 + 4 <= in.size()) {
      resize_sample_avx2(&in[first], fours, &out[i * 3]);
    } else {
      resize_sample(in.data(), taps_[i], &out[i * 3]);
    }
    next += fours.size();
  }
}
#endif

void mix_rows_plain(const uint8_t* rows, const Taps& tap, std::span<uint8_t> out) {
  mix_columns(rows, tap, out, 0);
}

void mix_rows(const uint8_t* rows, const Taps& tap, std::span<uint8_t> out) {
#if defined(__x86_64__)
  if (has_avx2()) return mix_rows_avx2(rows, tap, out);
#endif
  mix_rows_plain(rows, tap, out);
}

}  // namespace ca4::producer
