// From pixels to what a model's input wants, as torchvision's usual transforms do it:
// Resize(shorter side, bilinear with antialiasing), CenterCrop, ToTensor, Normalize. Pure; any
// thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "producer/image.h"

namespace ca4::producer {

struct Preprocess {
  int resize_side = 256;  // pixels of the shorter side
  int crop_side = 224;    // at most resize_side
  // Of red, green, blue, where a byte of 255 is 1. ImageNet's, as torchvision gives them.
  std::array<float, 3> mean{0.485F, 0.456F, 0.406F};
  std::array<float, 3> std{0.229F, 0.224F, 0.225F};
  bool channels_last = false;  // (224, 224, 3) as TensorFlow has it instead of (3, 224, 224)

  size_t tensor_floats() const {
    return 3 * static_cast<size_t>(crop_side) * static_cast<size_t>(crop_side);
  }
};

// The centre `crop_side` × `crop_side` of the image resized to `resize_side`, RGB bytes. Equal bit
// for bit to Pillow's `resize(..., BILINEAR)` and `crop` of the same pixels. `image` is not empty.
std::vector<uint8_t> resize_and_crop(const Image& image, int resize_side, int crop_side);

// resize_and_crop, then (byte / 255 - mean) / std into `out`, which has tensor_floats() floats.
void to_tensor(const Image& image, const Preprocess& how, std::span<float> out);

}  // namespace ca4::producer
