#include "producer/preprocess.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "producer/half.h"
#include "producer/resize_rows.h"

namespace ca4::producer {
namespace {

// The antialiased triangle filter: its half-width is one input sample when enlarging and one output
// sample when reducing. For outputs [begin, begin + count) of the `to` samples that `extent` inputs
// become; `from` inputs are there, the last of which may reach beyond the extent.
std::vector<Taps> triangle_taps(double extent, int from, int to, int begin, int count) {
  const double scale = extent / to;
  const double reach = std::max(scale, 1.0);
  std::vector<Taps> taps(static_cast<size_t>(count));
  std::vector<double> raw;
  for (int i = 0; i < count; ++i) {
    const double centre = (begin + i + 0.5) * scale;
    const int first = std::max(static_cast<int>(centre - reach + 0.5), 0);
    const int last = std::min(static_cast<int>(centre + reach + 0.5), from);
    raw.clear();
    double sum = 0;
    for (int x = first; x < last; ++x) {
      raw.push_back(std::max(0.0, 1.0 - std::abs((x - centre + 0.5) / reach)));
      sum += raw.back();
    }
    Taps& tap = taps[static_cast<size_t>(i)];
    tap.first = first;
    for (const double weight : raw) {
      tap.weights.push_back(
          static_cast<int32_t>(std::lround(weight / sum * (int64_t{1} << kWeightBits))));
    }
  }
  return taps;
}

// What each byte becomes, in red, green and blue: the arithmetic is done once for each.
template <class Number>
using Table = std::array<std::array<Number, 256>, 3>;

Table<float> normalised(const Preprocess& how) {
  Table<float> out;
  for (size_t channel = 0; channel < 3; ++channel) {
    for (size_t byte = 0; byte < 256; ++byte) {
      out[channel][byte] =
          (static_cast<float>(byte) / 255.0F - how.mean[channel]) / how.std[channel];
    }
  }
  return out;
}

Table<uint16_t> in_halves(const Table<float>& from) {
  Table<uint16_t> out;
  for (size_t channel = 0; channel < 3; ++channel) narrow(from[channel], out[channel]);
  return out;
}

template <class Number>
void write_numbers(std::span<const uint8_t> pixels, const Preprocess& how,
                   const Table<Number>& table, Number* out) {
  const size_t plane = pixels.size() / 3;
  // Where a pixel's red, green and blue go, and how far on the next pixel's.
  const size_t apart = how.channels_last ? 1 : plane;
  const size_t step = how.channels_last ? 3 : 1;
  const uint8_t* pixel = pixels.data();
  for (size_t i = 0; i < plane; ++i, pixel += 3, out += step) {
    out[0] = table[0][pixel[0]];
    out[apart] = table[1][pixel[1]];
    out[2 * apart] = table[2][pixel[2]];
  }
}

// CenterCrop's first row or column: Python's round, which takes halves to even.
int crop_begin(int size, int crop) {
  return static_cast<int>(std::nearbyint((size - crop) / 2.0));
}

}  // namespace

std::vector<uint8_t> resize_and_crop(const Image& image, int resize_side, int crop_side) {
  assert(crop_side <= resize_side && image.width > 0 && image.height > 0);
  // Resize keeps the ratio and rounds the longer side down. The file's ratio: that of a picture
  // scaled while it was decoded is rounded already.
  const bool tall = image.file_height >= image.file_width;
  const int64_t shorter = std::min(image.file_width, image.file_height);
  const int64_t longer = std::max(image.file_width, image.file_height);
  const double reduced_by = image.reduced_by;
  const int long_side = static_cast<int>(resize_side * longer / shorter);
  const int width = tall ? resize_side : long_side;
  const int height = tall ? long_side : resize_side;

  // Only what the crop shows is computed.
  const RowResizer columns(triangle_taps(image.file_width / reduced_by, image.width, width,
                                         crop_begin(width, crop_side), crop_side));
  const auto rows = triangle_taps(image.file_height / reduced_by, image.height, height,
                                  crop_begin(height, crop_side), crop_side);
  const int first_row = rows.front().first;
  const int last_row = rows.back().first + static_cast<int>(rows.back().weights.size());
  const size_t row_bytes = static_cast<size_t>(crop_side) * 3;
  std::vector<uint8_t> narrowed(static_cast<size_t>(last_row - first_row) * row_bytes);
  const std::span<uint8_t> narrow(narrowed);
  for (int y = first_row; y < last_row; ++y) {
    const size_t in = static_cast<size_t>(y) * static_cast<size_t>(image.width) * 3;
    columns.resize(std::span(image.rgb).subspan(in),
                   narrow.subspan(static_cast<size_t>(y - first_row) * row_bytes, row_bytes));
  }
  std::vector<uint8_t> out(static_cast<size_t>(crop_side) * row_bytes);
  for (size_t y = 0; y < rows.size(); ++y) {
    const size_t begin = static_cast<size_t>(rows[y].first - first_row) * row_bytes;
    mix_rows(&narrowed[begin], rows[y], std::span(out).subspan(y * row_bytes, row_bytes));
  }
  return out;
}

Tensor to_tensor(const Image& image, const Preprocess& how) {
  const std::vector<uint8_t> pixels = resize_and_crop(image, how.resize_side, how.crop_side);
  Tensor out(how.tensor_bytes());
  if (how.half) {
    write_numbers(pixels, how, in_halves(normalised(how)), reinterpret_cast<uint16_t*>(out.data()));
  } else {
    write_numbers(pixels, how, normalised(how), reinterpret_cast<float*>(out.data()));
  }
  return out;
}

}  // namespace ca4::producer
