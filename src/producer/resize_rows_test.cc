#include "producer/resize_rows.h"

#include <gtest/gtest.h>

#include <random>

namespace ca4::producer {
namespace {

constexpr int32_t kOne = 1 << kWeightBits;

class ResizeRows : public testing::Test {
 protected:
  std::vector<uint8_t> bytes(size_t count) {
    std::vector<uint8_t> out(count);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(random_() % 256);
    return out;
  }

  // `count` weights that add up to one.
  Taps taps(int first, size_t count) {
    Taps made{first, std::vector<int32_t>(count)};
    int32_t left = kOne;
    for (size_t i = 0; i + 1 < count; ++i) {
      made.weights[i] = static_cast<int32_t>(random_() % (static_cast<uint32_t>(left) + 1));
      left -= made.weights[i];
    }
    made.weights.back() = left;
    return made;
  }

  std::mt19937 random_{7};  // NOLINT(bugprone-random-generator-seed): the same in each run
};

TEST_F(ResizeRows, AlongARowEqualsPlainCodeToItsLastSample) {
  for (int width = 1; width < 40; ++width) {
    // As large as its row: a sanitizer sees it if more is read.
    const std::vector<uint8_t> in = bytes(static_cast<size_t>(width) * 3);
    std::vector<Taps> all;
    for (int first = 0; first < width; ++first) {
      for (int count = 1; count <= width - first; ++count) {
        all.push_back(taps(first, static_cast<size_t>(count)));
      }
    }
    std::vector<uint8_t> fast(all.size() * 3);
    std::vector<uint8_t> plain(all.size() * 3);
    const RowResizer resizer(all);
    resizer.resize(in, fast);
    resizer.resize_plain(in, plain);
    ASSERT_EQ(fast, plain) << width;
  }
}

TEST_F(ResizeRows, AcrossRowsEqualsPlainCodeForAnyWidth) {
  for (size_t columns = 1; columns < 70; ++columns) {
    for (size_t count = 1; count < 12; ++count) {
      const std::vector<uint8_t> rows = bytes(columns * count);
      const Taps tap = taps(0, count);
      std::vector<uint8_t> fast(columns);
      std::vector<uint8_t> plain(columns);
      mix_rows(rows.data(), tap, fast);
      mix_rows_plain(rows.data(), tap, plain);
      ASSERT_EQ(fast, plain) << columns << " columns, " << count << " rows";
    }
  }
}

TEST_F(ResizeRows, WhiteStaysWhiteAndOneWeightCopies) {
  const std::vector<uint8_t> white(64 * 3, 255);
  std::vector<uint8_t> out(3);
  RowResizer({taps(5, 9)}).resize(white, out);
  EXPECT_EQ(out, std::vector<uint8_t>(3, 255));
  const std::vector<uint8_t> in = bytes(64 * 3);
  RowResizer({Taps{7, {kOne}}}).resize(in, out);
  EXPECT_EQ(out, std::vector<uint8_t>(in.begin() + 21, in.begin() + 24));
}

}  // namespace
}  // namespace ca4::producer
