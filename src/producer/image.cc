#include "producer/image.h"

#include <fmt/format.h>

namespace ca4::producer {

std::string_view sniff_format(std::string_view bytes) {
  if (bytes.starts_with("\xff\xd8\xff")) return "jpeg";
  if (bytes.starts_with("\x89PNG\r\n\x1a\n")) return "png";
  if (bytes.size() >= 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP") {
    return "webp";
  }
  return {};
}

Result<Image> decode_image(std::string_view bytes, const DecodeLimits& limits) {
  const std::string_view format = sniff_format(bytes);
  if (format == "jpeg") return decode_jpeg(bytes, limits);
  if (format == "png") return decode_png(bytes, limits);
  if (format == "webp") return decode_webp(bytes, limits);
  return Status(Code::kInvalidArgument,
                bytes.empty() ? "the file is empty" : "not a JPEG, PNG or WebP file");
}

Status check_size(int64_t width, int64_t height, const DecodeLimits& limits) {
  if (width <= 0 || height <= 0) return {Code::kInvalidArgument, "the image has no pixels"};
  if (width > limits.side_max || height > limits.side_max) {
    return {Code::kTooLarge, fmt::format("{} × {} pixels, a side longer than the limit of {}",
                                         width, height, limits.side_max)};
  }
  if (width > limits.pixels_max / height) {
    return {Code::kTooLarge, fmt::format("{} × {} pixels, more than the limit of {}", width, height,
                                         limits.pixels_max)};
  }
  return Status::ok();
}

}  // namespace ca4::producer
