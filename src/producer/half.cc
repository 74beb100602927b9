#include "producer/half.h"

#include <cassert>

// The library's conversions, where the processor has no instruction for it.
#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ca4::producer {
namespace {

void narrow_one_by_one(std::span<const float> from, std::span<uint16_t> to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = Ort::Float16_t(from[i]).val;
}

void widen_one_by_one(std::span<const uint16_t> from, std::span<float> to) {
  for (size_t i = 0; i < from.size(); ++i) {
    to[i] = Ort::Float16_t::FromBits(from[i]).ToFloat();
  }
}

#if defined(__x86_64__)
constexpr size_t kStep = 8;

__attribute__((target("avx,f16c"))) size_t narrow_eights(std::span<const float> from,
                                                         std::span<uint16_t> to) {
  size_t i = 0;
  for (; i + kStep <= from.size(); i += kStep) {
    const __m256 wide = _mm256_loadu_ps(from.data() + i);
    const __m128i half = _mm256_cvtps_ph(wide, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to.data() + i), half);
  }
  return i;
}

__attribute__((target("avx,f16c"))) size_t widen_eights(std::span<const uint16_t> from,
                                                        std::span<float> to) {
  size_t i = 0;
  for (; i + kStep <= from.size(); i += kStep) {
    const auto* const half = reinterpret_cast<const __m128i*>(from.data() + i);
    _mm256_storeu_ps(to.data() + i, _mm256_cvtph_ps(_mm_loadu_si128(half)));
  }
  return i;
}

bool has_instruction() {
  return __builtin_cpu_supports("f16c") != 0 && __builtin_cpu_supports("avx") != 0;
}
#else
size_t narrow_eights(std::span<const float>, std::span<uint16_t>) {
  return 0;
}
size_t widen_eights(std::span<const uint16_t>, std::span<float>) {
  return 0;
}
bool has_instruction() {
  return false;
}
#endif

}  // namespace

void narrow(std::span<const float> from, std::span<uint16_t> to) {
  assert(from.size() == to.size());
  const size_t done = has_instruction() ? narrow_eights(from, to) : 0;
  narrow_one_by_one(from.subspan(done), to.subspan(done));
}

void widen(std::span<const uint16_t> from, std::span<float> to) {
  assert(from.size() == to.size());
  const size_t done = has_instruction() ? widen_eights(from, to) : 0;
  widen_one_by_one(from.subspan(done), to.subspan(done));
}

}  // namespace ca4::producer
