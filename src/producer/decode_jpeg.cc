#include <fmt/format.h>
#include <turbojpeg.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>

#include "producer/image.h"

namespace ca4::producer {
namespace {

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, Destroy>;

Status failed(const Handle& handle) {
  return {Code::kInvalidArgument, fmt::format("damaged JPEG: {}", tjGetErrorStr2(handle.get()))};
}

// The largest reduction (1/1 … 1/8) that leaves the shorter side at least `keep_side_min`.
tjscalingfactor choose_scale(int width, int height, int keep_side_min) {
  const int side = std::min(width, height);
  int denominator = 1;
  while (keep_side_min > 0 && denominator < 8 && side / (denominator * 2) >= keep_side_min) {
    denominator *= 2;
  }
  return {1, denominator};
}

// A file that is cut short decodes to grey below the cut, or blurred when it is progressive, with a
// warning only; such a picture is not what its owner sees. Other warnings (stray bytes between
// segments, as old cameras leave them) do not change the picture.
bool is_harmless(const Handle& handle) {
  return tjGetErrorCode(handle.get()) == TJERR_WARNING &&
         std::string_view(tjGetErrorStr2(handle.get())).find("Premature end") ==
             std::string_view::npos;
}

// Inverted CMYK, as every program since Photoshop writes it into JPEG and as Pillow assumes: a
// sample of 255 is no ink, so a channel is its ink's lightness times black's.
void cmyk_to_rgb(std::span<const uint8_t> cmyk, std::vector<uint8_t>& rgb) {
  rgb.resize(cmyk.size() / 4 * 3);
  for (size_t i = 0, o = 0; i + 3 < cmyk.size(); i += 4, o += 3) {
    for (size_t c = 0; c < 3; ++c) {
      rgb[o + c] = static_cast<uint8_t>((cmyk[i + c] * cmyk[i + 3] + 127) / 255);
    }
  }
}

}  // namespace

Result<Image> decode_jpeg(std::string_view bytes, const DecodeLimits& limits) {
  const Handle handle(tjInitDecompress());
  if (handle == nullptr) return Status(Code::kInternal, "libjpeg-turbo has no memory to start");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  Image image;
  image.format = "jpeg";
  int subsampling = 0;
  int colours = 0;
  if (tjDecompressHeader3(handle.get(), data, bytes.size(), &image.file_width, &image.file_height,
                          &subsampling, &colours) != 0 &&
      !is_harmless(handle)) {
    return failed(handle);
  }
  if (Status bad = check_size(image.file_width, image.file_height, limits); !bad.is_ok()) {
    return bad;
  }
  const tjscalingfactor scale =
      choose_scale(image.file_width, image.file_height, limits.keep_side_min);
  image.reduced_by = scale.denom;
  image.width = TJSCALED(image.file_width, scale);
  image.height = TJSCALED(image.file_height, scale);
  const bool is_cmyk = colours == TJCS_CMYK || colours == TJCS_YCCK;
  const int format = is_cmyk ? TJPF_CMYK : TJPF_RGB;
  std::vector<uint8_t> pixels(static_cast<size_t>(image.width) * static_cast<size_t>(image.height) *
                              static_cast<size_t>(tjPixelSize[format]));
  // The last warning is the one that can be asked for, and a cut makes others after its own: so up
  // to the first, and only if that is harmless to the end.
  for (const int flags : {TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING, TJFLAG_ACCURATEDCT}) {
    if (tjDecompress2(handle.get(), data, bytes.size(), pixels.data(), image.width, 0, image.height,
                      format, flags) == 0) {
      break;
    }
    if (!is_harmless(handle)) return failed(handle);
  }
  if (is_cmyk) {
    cmyk_to_rgb(pixels, image.rgb);
  } else {
    image.rgb = std::move(pixels);
  }
  return image;
}

}  // namespace ca4::producer
