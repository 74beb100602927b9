#include "producer/model_input.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cmath>
#include <numeric>

namespace ca4::producer {
namespace {

// Larger inputs than any image model has; keeps a batch's memory within reason.
constexpr int64_t kSideMax = 2048;

Status bad_key(const std::string& key, const std::string& text, std::string_view wanted) {
  return {Code::kInvalidArgument,
          fmt::format("its metadata {} is \"{}\", not {}", key, text, wanted)};
}

// Overwrites `out` when the key is there: exactly three numbers separated by commas.
Status read_channels(const Metadata& metadata, const std::string& key, bool positive,
                     std::array<float, 3>& out) {
  const std::string text = metadata(key);
  if (text.empty()) return Status::ok();
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t channel = 0; channel < 3; ++channel) {
    const auto [next, error] = std::from_chars(at, end, out[channel]);
    const bool last = channel == 2;
    if (error != std::errc{} || !std::isfinite(out[channel]) || (positive && out[channel] <= 0) ||
        (last ? next != end : next == end || *next != ',')) {
      return bad_key(key, text, "three numbers as in 0.5,0.5,0.5");
    }
    at = next + 1;
  }
  return Status::ok();
}

Status read_side(const Metadata& metadata, const std::string& key, int& out) {
  const std::string text = metadata(key);
  if (text.empty()) return Status::ok();
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, out);
  if (error != std::errc{} || next != end || out < 1 || out > kSideMax) {
    return bad_key(key, text, fmt::format("a number of pixels from 1 to {}", kSideMax));
  }
  return Status::ok();
}

}  // namespace

Result<ModelInput> model_input(const std::vector<int64_t>& shape, const Metadata& metadata) {
  const auto wrong_shape = [&] {
    return Status(Code::kInvalidArgument,
                  fmt::format("its input has shape ({}), not (N, 3, H, H) or (N, H, H, 3)",
                              fmt::join(shape, ", ")));
  };
  if (shape.size() != 4) return wrong_shape();
  ModelInput input;
  Preprocess& how = input.preprocess;
  how.channels_last = shape[1] != 3 && shape[3] == 3;
  const int64_t channels = how.channels_last ? shape[3] : shape[1];
  const int64_t height = how.channels_last ? shape[1] : shape[2];
  const int64_t width = how.channels_last ? shape[2] : shape[3];
  if (channels > 0 && channels != 3) return wrong_shape();
  if (height > 0 && width > 0 && height != width) return wrong_shape();
  if (height > kSideMax || width > kSideMax) return wrong_shape();
  const int fixed_side = static_cast<int>(std::max<int64_t>({height, width, 0}));
  input.batch = shape[0] > 0 ? static_cast<size_t>(shape[0]) : 0;

  if (fixed_side > 0) how.crop_side = fixed_side;
  if (Status bad = read_side(metadata, "ca4.crop", how.crop_side); !bad.is_ok()) return bad;
  how.resize_side = how.crop_side * 256 / 224;
  if (Status bad = read_side(metadata, "ca4.resize", how.resize_side); !bad.is_ok()) return bad;
  if (fixed_side > 0 && how.crop_side != fixed_side) {
    return Status(Code::kInvalidArgument,
                  fmt::format("its metadata ca4.crop is {}, its input takes {} pixels",
                              how.crop_side, fixed_side));
  }
  if (how.crop_side > how.resize_side) {
    return Status(Code::kInvalidArgument,
                  fmt::format("its metadata ca4.resize of {} pixels is less than the crop of {}",
                              how.resize_side, how.crop_side));
  }
  if (Status bad = read_channels(metadata, "ca4.mean", false, how.mean); !bad.is_ok()) return bad;
  if (Status bad = read_channels(metadata, "ca4.std", true, how.std); !bad.is_ok()) return bad;
  return input;
}

Status append_pooled(const float* data, const std::vector<int64_t>& shape, size_t rows,
                     size_t count, std::vector<float>& out) {
  if ((shape.size() != 2 && shape.size() != 4) || shape[0] != static_cast<int64_t>(rows)) {
    return {Code::kInvalidArgument,
            fmt::format("its output has shape ({}) for {} images, not ({}, C) or ({}, C, H, W): "
                        "was it exported with a first dimension that is fixed, or for one image?",
                        fmt::join(shape, ", "), rows, rows, rows)};
  }
  const auto features = static_cast<size_t>(shape[1]);
  size_t area = 1;
  for (size_t axis = 2; axis < shape.size(); ++axis) area *= static_cast<size_t>(shape[axis]);
  for (size_t i = 0; i < count * features; ++i) {
    const float* values = data + i * area;
    out.push_back(area == 1
                      ? *values
                      : std::accumulate(values, values + area, 0.0F) / static_cast<float>(area));
  }
  return Status::ok();
}

}  // namespace ca4::producer
