// From pixels to what a model's input wants, as torchvision's usual transforms do it:
// Resize(shorter side, bilinear with antialiasing), CenterCrop, ToTensor, Normalize. Pure; any
// thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "producer/image.h"

namespace ca4::producer {

// One image as a model takes it: its numbers as they lie in memory.
using Tensor = std::vector<std::byte>;

struct Preprocess {
  int resize_side = 256;  // pixels of the shorter side
  int crop_side = 224;    // at most resize_side
  // Of red, green, blue, where a byte of 255 is 1. ImageNet's, as torchvision gives them.
  std::array<float, 3> mean{0.485F, 0.456F, 0.406F};
  std::array<float, 3> std{0.229F, 0.224F, 0.225F};
  bool channels_last = false;  // (224, 224, 3) as TensorFlow has it instead of (3, 224, 224)

  bool half = false;  // float16 numbers instead of float32

  size_t tensor_bytes() const {
    const auto side = static_cast<size_t>(crop_side);
    return 3 * side * side * (half ? sizeof(uint16_t) : sizeof(float));
  }
};

// The centre `crop_side` × `crop_side` of the image resized to `resize_side`, RGB bytes. Equal bit
// for bit to Pillow's `resize(..., BILINEAR)` and `crop` of the same pixels. `image` is not empty.
std::vector<uint8_t> resize_and_crop(const Image& image, int resize_side, int crop_side);

// resize_and_crop, then (byte / 255 - mean) / std, in tensor_bytes() bytes.
Tensor to_tensor(const Image& image, const Preprocess& how);

}  // namespace ca4::producer
