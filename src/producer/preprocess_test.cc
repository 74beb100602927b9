#include "producer/preprocess.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "producer/half.h"
#include "producer/test_support.h"

namespace ca4::producer {
namespace {

struct Difference {
  int largest = 0;
  double mean = 0;
};

Difference difference(const std::vector<uint8_t>& ours, const std::string& reference) {
  Difference out;
  double sum = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const int off = std::abs(ours[i] - static_cast<uint8_t>(reference[i]));
    out.largest = std::max(out.largest, off);
    sum += off;
  }
  out.mean = sum / static_cast<double>(ours.size());
  return out;
}

Image plain(int width, int height) {
  Image image;
  image.width = image.file_width = width;
  image.height = image.file_height = height;
  image.rgb.assign(static_cast<size_t>(width * height * 3), 100);
  return image;
}

// The reference is Pillow's and torchvision's arithmetic on the same files, see
// scripts/make_images.py. Where decoding is exact the result must be equal bit for bit; a lossy
// decoder may differ from the one inside Pillow by a level here and there.
TEST(ResizeAndCrop, EqualsPillowOnEveryFormat) {
  const std::set<std::string> lossy = {
      "jpeg-420.jpg",      "jpeg-444.jpg",    "jpeg-progressive.jpg",
      "jpeg-grey.jpg",     "jpeg-cmyk.jpg",   "jpeg-exif-turned.jpg",
      "jpeg-odd-size.jpg", "webp-lossy.webp", "webp-alpha.webp"};
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(deps("images/formats"))) {
    const std::string name = entry.path().filename().string();
    const std::string reference = slurp(deps("images/reference/" + name + ".rgb"));
    const Result<Image> image = decode_image(slurp(entry.path().string()));
    ASSERT_TRUE(image) << name << ": " << image.status().message();
    const std::vector<uint8_t> ours = resize_and_crop(*image, 256, 224);
    ASSERT_EQ(ours.size(), reference.size()) << name;
    const Difference off = difference(ours, reference);
    ++files;
    if (name == "jpeg-large.jpg") {
      // Scaled while it was decoded.
      EXPECT_LT(off.mean, 0.6) << name;
      EXPECT_LE(off.largest, 8) << name;
    } else if (lossy.contains(name)) {
      EXPECT_LT(off.mean, 0.1) << name;
      EXPECT_LE(off.largest, 2) << name;
    } else {
      EXPECT_EQ(off.largest, 0) << name;
    }
  }
  EXPECT_EQ(files, 22U);
}

TEST(ResizeAndCrop, PlainPictureStaysPlainAtAnySize) {
  for (const auto& [width, height] : {std::pair{1, 1}, {7, 5}, {224, 224}, {3000, 2}, {3, 4000}}) {
    const std::vector<uint8_t> out = resize_and_crop(plain(width, height), 256, 224);
    EXPECT_EQ(out.size(), 224U * 224 * 3);
    EXPECT_THAT(out, testing::Each(100)) << width << " × " << height;
  }
}

TEST(ToTensor, NormalisesAsTorchvisionDoes) {
  const std::vector<float> out = numbers_of(to_tensor(plain(300, 300), {}));
  const size_t plane = out.size() / 3;
  EXPECT_FLOAT_EQ(out[0], (100 / 255.0F - 0.485F) / 0.229F);
  EXPECT_FLOAT_EQ(out[plane], (100 / 255.0F - 0.456F) / 0.224F);
  EXPECT_FLOAT_EQ(out[2 * plane], (100 / 255.0F - 0.406F) / 0.225F);
}

Image picture() {
  return decode_image(slurp(deps("images/formats/png-rgb.png"))).value();
}

TEST(ToTensor, ChannelsLastIsTheSameNumbersInterleaved) {
  const Image image = picture();
  Preprocess how;
  const std::vector<float> first = numbers_of(to_tensor(image, how));
  how.channels_last = true;
  const std::vector<float> last = numbers_of(to_tensor(image, how));
  const size_t plane = first.size() / 3;
  for (const size_t pixel : {size_t{0}, size_t{12'345}, plane - 1}) {
    for (size_t channel = 0; channel < 3; ++channel) {
      EXPECT_EQ(first[channel * plane + pixel], last[pixel * 3 + channel]);
    }
  }
}

TEST(ToTensor, HalvesAreTheSameNumbersRounded) {
  const Image image = picture();
  Preprocess how;
  const std::vector<float> floats = numbers_of(to_tensor(image, how));
  how.half = true;
  const Tensor halves = to_tensor(image, how);
  ASSERT_EQ(halves.size(), floats.size() * 2);
  std::vector<uint16_t> expected(floats.size());
  narrow(floats, expected);
  EXPECT_EQ(std::memcmp(halves.data(), expected.data(), halves.size()), 0);
}

}  // namespace
}  // namespace ca4::producer
