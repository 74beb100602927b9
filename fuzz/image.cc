// Image files: refused, or as many pixels as told. The same bytes as pixels come back from a PNG
// and from a lossless WebP unchanged.
#include <png.h>
#include <webp/encode.h>

#include <cstring>

#include "producer/image.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

constexpr producer::DecodeLimits kLimits{.pixels_max = 1 << 20, .side_max = 4096};

std::string png_of(const uint8_t* rgb, uint32_t width, uint32_t height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t bytes = 0;
  require(png_image_write_to_memory(&image, nullptr, &bytes, 0, rgb, 0, nullptr) != 0, "a PNG");
  std::string out(bytes, '\0');
  require(png_image_write_to_memory(&image, out.data(), &bytes, 0, rgb, 0, nullptr) != 0, "a PNG");
  out.resize(bytes);
  return out;
}

std::string webp_of(const uint8_t* rgb, int width, int height) {
  uint8_t* out = nullptr;
  const size_t bytes = WebPEncodeLosslessRGB(rgb, width, height, width * 3, &out);
  std::string copy(reinterpret_cast<char*>(out), bytes);
  WebPFree(out);
  return copy;
}

void check_same(const std::string& file, const uint8_t* rgb, int width, int height) {
  const Result<producer::Image> image = producer::decode_image(file, kLimits);
  require(image && image->width == width && image->height == height, "what was encoded is decoded");
  require(std::memcmp(image->rgb.data(), rgb, image->rgb.size()) == 0, "the same pixels");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // The first byte chooses how far a JPEG may be scaled down, or that the rest are pixels.
  const std::string_view rest = text_of(data + 1, size - 1);
  producer::DecodeLimits limits = kLimits;
  limits.keep_side_min = data[0] % 64;
  const Result<producer::Image> image = producer::decode_image(rest, limits);
  if (image) {
    require(image->rgb.size() ==
                static_cast<size_t>(image->width) * static_cast<size_t>(image->height) * 3,
            "three bytes a pixel");
    require(image->file_width <= image->width * image->reduced_by &&
                image->file_height <= image->height * image->reduced_by,
            "the size is the file's");
  } else {
    require(!image.status().message().empty(), "a refusal has a reason");
  }
  const int width = 1 + data[0] % 16;
  const int height = static_cast<int>(rest.size() / 3) / width;
  if (data[0] < 128 || height < 1 || height > kLimits.side_max) return 0;
  check_same(png_of(data + 1, static_cast<uint32_t>(width), static_cast<uint32_t>(height)),
             data + 1, width, height);
  check_same(webp_of(data + 1, width, height), data + 1, width, height);
  return 0;
}
