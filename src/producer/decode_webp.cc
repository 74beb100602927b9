#include <webp/decode.h>

#include "producer/image.h"

namespace ca4::producer {

Result<Image> decode_webp(std::string_view bytes, const DecodeLimits& limits) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) {
    return Status(Code::kInvalidArgument, "damaged WebP: its header cannot be read");
  }
  if (Status bad = check_size(features.width, features.height, limits); !bad.is_ok()) return bad;
  if (features.has_animation != 0) {
    return Status(Code::kInvalidArgument, "an animated WebP, which has no one picture");
  }
  Image image;
  image.format = "webp";
  image.width = image.file_width = features.width;
  image.height = image.file_height = features.height;
  image.rgb.resize(static_cast<size_t>(features.width) * static_cast<size_t>(features.height) * 3);
  if (WebPDecodeRGBInto(data, bytes.size(), image.rgb.data(), image.rgb.size(),
                        features.width * 3) == nullptr) {
    return Status(Code::kInvalidArgument, "damaged WebP: its pixels cannot be read to the end");
  }
  return image;
}

}  // namespace ca4::producer
