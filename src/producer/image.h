// From the bytes of an image file to RGB pixels: JPEG, PNG and WebP, recognised by their content.
// All functions may be called from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::producer {

// Decoded pixels and what the file was. Pixels are what Pillow's `convert("RGB")` makes of the same
// file, which is what torchvision's loader feeds to a model: alpha is dropped, not blended; grey is
// repeated; CMYK becomes RGB without a colour profile; of 16 bits the upper 8 are kept; EXIF
// orientation and colour profiles are not applied.
struct Image {
  int width = 0;  // of `rgb`; smaller than the file's when a JPEG was scaled while decoding
  int height = 0;
  std::vector<uint8_t> rgb;  // width × height × 3, rows from the top
  int file_width = 0;
  int file_height = 0;
  // How many pixels of the file, in each direction, one of `rgb` stands for. The last row and
  // column may stand for fewer.
  int reduced_by = 1;
  std::string_view format;  // "jpeg", "png", "webp"
};

struct DecodeLimits {
  // Above any camera of today (a 200-megapixel sensor), below what makes a small file a memory
  // bomb: 768 MiB as RGB.
  int64_t pixels_max = 256'000'000;
  // WebP and JPEG cannot be larger; keeps the arithmetic of resizing far from overflow.
  int64_t side_max = 65'535;
  // The shorter side, in pixels, below which a JPEG is not scaled while it is decoded; 0: never
  // scaled. Scaling by a power of two in the DCT is several times faster on camera pictures, but
  // not what Pillow's pixels give: with four times the wanted size left, embeddings fell to a
  // cosine of 0.9997, with twice to 0.9995, where 0.9999 is promised.
  int keep_side_min = 0;
};

// The format by the file's first bytes: "jpeg", "png", "webp", or empty for anything else.
std::string_view sniff_format(std::string_view bytes);

// kInvalidArgument: not one of the formats, damaged, cut short or animated (WebP). kTooLarge: over
// `pixels_max` or `side_max`, found from the header before any memory is taken.
Result<Image> decode_image(std::string_view bytes, const DecodeLimits& limits = {});

// One decoder a format; what decode_image chooses from.
Result<Image> decode_jpeg(std::string_view bytes, const DecodeLimits& limits);
Result<Image> decode_png(std::string_view bytes, const DecodeLimits& limits);
Result<Image> decode_webp(std::string_view bytes, const DecodeLimits& limits);

// Ok, or kTooLarge with the size in the message. For the decoders.
Status check_size(int64_t width, int64_t height, const DecodeLimits& limits);

}  // namespace ca4::producer
