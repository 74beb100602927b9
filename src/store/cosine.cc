#include "store/cosine.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

// One version a level of the x86-64 psABI, chosen at load. Sanitizers are not yet running when such
// a choice is made and crash on it.
#if defined(__x86_64__) && !defined(CA4_SANITIZED)
#define CA4_CLONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CA4_CLONED
#endif

namespace ca4::store {
namespace {

static_assert(std::endian::native == std::endian::little,
              "embeddings are stored as memory holds them");

constexpr size_t kLanes = 16;
// Sixteen floats at any address: rows in a database page are not aligned.
using Floats = float __attribute__((vector_size(kLanes * sizeof(float)), aligned(1), may_alias));

// Four sums side by side, so that an addition need not wait for the one before it.
CA4_CLONED float dot(const char* a, const char* b, size_t count) {
  Floats sums[4] = {};
  size_t i = 0;
  const auto* va = reinterpret_cast<const Floats*>(a);
  const auto* vb = reinterpret_cast<const Floats*>(b);
  for (; (i + 4) * kLanes <= count; i += 4) {
    sums[0] += va[i] * vb[i];
    sums[1] += va[i + 1] * vb[i + 1];
    sums[2] += va[i + 2] * vb[i + 2];
    sums[3] += va[i + 3] * vb[i + 3];
  }
  const Floats sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  float total = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) total += sum[lane];
  for (size_t k = i * kLanes; k < count; ++k) {
    float x = 0;
    float y = 0;
    std::memcpy(&x, a + k * sizeof(float), sizeof x);
    std::memcpy(&y, b + k * sizeof(float), sizeof y);
    total += x * y;
  }
  return total;
}

// As above, in double: squares of large floats leave float's range, and this is kept.
CA4_CLONED double sum_of_squares(const float* values, size_t count) {
  constexpr size_t kWide = 8;
  using EightFloats =
      float __attribute__((vector_size(kWide * sizeof(float)), aligned(4), may_alias));
  using EightDoubles = double __attribute__((vector_size(kWide * sizeof(double))));
  EightDoubles sums = {};
  size_t i = 0;
  for (; i + kWide <= count; i += kWide) {
    const auto wide =
        __builtin_convertvector(*reinterpret_cast<const EightFloats*>(values + i), EightDoubles);
    sums += wide * wide;
  }
  double total = 0;
  for (size_t lane = 0; lane < kWide; ++lane) total += sums[lane];
  for (; i < count; ++i) total += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  return total;
}

// For embeddings whose products leave float's range.
double dot_in_double(std::string_view a, std::span<const float> b) {
  double total = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    float x = 0;
    std::memcpy(&x, a.data() + i * sizeof(float), sizeof x);
    total += static_cast<double>(x) * static_cast<double>(b[i]);
  }
  return total;
}

// Below this, products of two floats lose digits to underflow (the smallest normal is 1.2e-38).
constexpr double kTinyProduct = 1e-30;

}  // namespace

double l2_norm(std::span<const float> values) {
  return std::sqrt(sum_of_squares(values.data(), values.size()));
}

std::string_view as_bytes(std::span<const float> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

double cosine(std::string_view stored, double stored_norm, std::span<const float> query,
              double query_norm) {
  const double norms = stored_norm * query_norm;
  double product = static_cast<double>(dot(stored.data(), as_bytes(query).data(), query.size()));
  if (!std::isfinite(product) || norms < kTinyProduct) product = dot_in_double(stored, query);
  return std::clamp(product / norms, -1.0, 1.0);
}

}  // namespace ca4::store
