// One row of a resize at a time: along it, and across rows. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ca4::producer {

// Weights are whole numbers of 2^-22, and each pass rounds to bytes, as in Pillow: 22 is 32 bits
// less 8 of the sample and 2 of headroom.
constexpr int kWeightBits = 22;

// Which samples along one axis make an output sample, and with which weights: none is negative, and
// they add up to 2^22 but for rounding.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;
};

// Makes rows of RGB samples shorter or longer: as many samples as there are taps.
class RowResizer {
 public:
  explicit RowResizer(std::vector<Taps> taps);

  // `in` begins with the row and may be longer: what lies behind the row is never part of a result,
  // but it may be read. `out` has room for the taps' samples.
  void resize(std::span<const uint8_t> in, std::span<uint8_t> out) const;

  // The same in plain C++: for processors without AVX2, and to compare with in tests.
  void resize_plain(std::span<const uint8_t> in, std::span<uint8_t> out) const;

 private:
  void resize_avx2(std::span<const uint8_t> in, std::span<uint8_t> out) const;

  // The weights of four neighbouring samples, of 11 bits: the high parts of the first two in one
  // number, of the last two, then the low parts.
  using Four = std::array<int32_t, 4>;

  std::vector<Taps> taps_;
  std::vector<Four> fours_;  // of all taps, one after the other; empty without AVX2
};

// `out` is the weighted sum of rows of out.size() bytes one after the other; `rows` is the row of
// the tap's first sample.
void mix_rows(const uint8_t* rows, const Taps& tap, std::span<uint8_t> out);

// The same in plain C++.
void mix_rows_plain(const uint8_t* rows, const Taps& tap, std::span<uint8_t> out);

}  // namespace ca4::producer
