#include "store/cosine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace ca4::store {
namespace {

TEST(Cosine, EveryLengthAndAlignmentAgreesWithSumsInDouble) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (const size_t dim : {1U, 2U, 15U, 16U, 17U, 63U, 64U, 65U, 129U, 2048U, 65'536U}) {
    std::vector<float> a(dim);
    std::vector<float> b(dim);
    double product = 0;
    for (size_t i = 0; i < dim; ++i) {
      a[i] = uniform(random);
      b[i] = uniform(random);
      product += double{a[i]} * double{b[i]};
    }
    for (const size_t shift : {0U, 1U, 3U}) {
      std::vector<char> bytes(dim * sizeof(float) + shift);
      std::memcpy(bytes.data() + shift, a.data(), dim * sizeof(float));
      const std::string_view stored(bytes.data() + shift, dim * sizeof(float));
      EXPECT_NEAR(cosine(stored, l2_norm(a), b, l2_norm(b)), product / l2_norm(a) / l2_norm(b),
                  1e-6)
          << dim << " floats, shifted by " << shift;
    }
  }
}

TEST(Cosine, StaysWithinOneInSpiteOfRounding) {
  for (int i = 1; i < 200; ++i) {
    const std::vector<float> v(static_cast<size_t>(i), 0.1F + static_cast<float>(i) / 7);
    EXPECT_LE(cosine(as_bytes(v), l2_norm(v), v, l2_norm(v)), 1);
  }
}

TEST(Cosine, ProductsOutsideOfFloatsRangeDoNotSpoilIt) {
  const std::vector<float> huge = {3e38F, 3e38F};
  EXPECT_NEAR(cosine(as_bytes(huge), l2_norm(huge), huge, l2_norm(huge)), 1, 1e-6);
  const std::vector<float> tiny = {1e-30F, 1e-30F};
  EXPECT_NEAR(cosine(as_bytes(tiny), l2_norm(tiny), tiny, l2_norm(tiny)), 1, 1e-6);
}

}  // namespace
}  // namespace ca4::store
