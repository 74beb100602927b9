#include <fmt/format.h>
#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include "producer/image.h"

namespace ca4::producer {
namespace {

// What libpng reads from and where it leaves its complaint. libpng reports errors by longjmp, which
// runs no destructors: the functions between setjmp and libpng hold nothing that has one.
struct Source {
  std::string_view rest;
  std::array<char, 160> error{};
};

void read_bytes(png_structp png, png_bytep out, size_t count) {
  auto* source = static_cast<Source*>(png_get_io_ptr(png));
  if (count > source->rest.size()) png_error(png, "the file ends too early");
  std::memcpy(out, source->rest.data(), count);
  source->rest.remove_prefix(count);
}

[[noreturn]] void on_error(png_structp png, png_const_charp message) {
  auto* source = static_cast<Source*>(png_get_error_ptr(png));
  std::snprintf(source->error.data(), source->error.size(), "%s", message);
  png_longjmp(png, 1);
}

// Odd colour profiles and the like; the pixels are not touched by them.
void on_warning(png_structp, png_const_charp) {}

struct Png {
  explicit Png(Source* source)
      : read(png_create_read_struct(PNG_LIBPNG_VER_STRING, source, on_error, on_warning)),
        info(read == nullptr ? nullptr : png_create_info_struct(read)) {}
  ~Png() { png_destroy_read_struct(&read, &info, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;

  png_structp read;
  png_infop info;
};

// Ancillary chunks (text, profiles) are of no use here; 8 MiB is generous for one.
constexpr png_alloc_size_t kChunkBytesMax = 8 << 20;

bool read_header(const Png& png, Source* source) {
  if (setjmp(png_jmpbuf(png.read)) != 0) return false;  // NOLINT: libpng's way to report
  png_set_read_fn(png.read, source, read_bytes);
  png_set_chunk_malloc_max(png.read, kChunkBytesMax);
  // Our own limit, on pixels, comes right after.
  png_set_user_limits(png.read, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_read_info(png.read, png.info);
  return true;
}

// Everything to 8-bit RGB, without gamma or blending. False: see source->error.
bool read_pixels(const Png& png, uint8_t* pixels, png_bytep* rows) {
  if (setjmp(png_jmpbuf(png.read)) != 0) return false;  // NOLINT: libpng's way to report
  const int colour = png_get_color_type(png.read, png.info);
  png_set_strip_16(png.read);
  png_set_palette_to_rgb(png.read);
  if ((colour & PNG_COLOR_MASK_COLOR) == 0) {
    png_set_expand_gray_1_2_4_to_8(png.read);
    png_set_gray_to_rgb(png.read);
  }
  png_set_strip_alpha(png.read);
  png_set_interlace_handling(png.read);
  png_read_update_info(png.read, png.info);
  const size_t row_bytes = png_get_rowbytes(png.read, png.info);
  const size_t width = png_get_image_width(png.read, png.info);
  if (row_bytes != width * 3) png_error(png.read, "this kind of pixel is not supported");
  const size_t height = png_get_image_height(png.read, png.info);
  for (size_t y = 0; y < height; ++y) rows[y] = pixels + y * row_bytes;
  png_read_image(png.read, rows);
  png_read_end(png.read, nullptr);
  return true;
}

Status damaged(const Source& source) {
  return {Code::kInvalidArgument, fmt::format("damaged PNG: {}", source.error.data())};
}

}  // namespace

Result<Image> decode_png(std::string_view bytes, const DecodeLimits& limits) {
  Source source{.rest = bytes};
  const Png png(&source);
  if (png.info == nullptr) return Status(Code::kInternal, "libpng has no memory to start");
  if (!read_header(png, &source)) return damaged(source);
  const int64_t width = png_get_image_width(png.read, png.info);
  const int64_t height = png_get_image_height(png.read, png.info);
  if (Status bad = check_size(width, height, limits); !bad.is_ok()) return bad;
  Image image;
  image.format = "png";
  image.width = image.file_width = static_cast<int>(width);
  image.height = image.file_height = static_cast<int>(height);
  image.rgb.resize(static_cast<size_t>(width * height * 3));
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  if (!read_pixels(png, image.rgb.data(), rows.data())) return damaged(source);
  return image;
}

}  // namespace ca4::producer
