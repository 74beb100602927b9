#include "producer/image.h"

#include <gmock/gmock.h>

#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using testing::HasSubstr;

std::string format_file(const std::string& name) {
  return slurp(deps("images/formats/" + name));
}
std::string broken_file(const std::string& name) {
  return slurp(deps("images/broken/" + name));
}

Status refusal(const std::string& bytes, const DecodeLimits& limits = {}) {
  return decode_image(bytes, limits).status();
}

TEST(DecodeImage, FormatIsFoundByContentNotByName) {
  EXPECT_EQ(decode_image(format_file("jpeg-420.jpg"))->format, "jpeg");
  EXPECT_EQ(decode_image(format_file("png-rgb.png"))->format, "png");
  EXPECT_EQ(decode_image(format_file("webp-lossy.webp"))->format, "webp");
  EXPECT_EQ(sniff_format("RIFFxxxxWAVE"), "");
}

TEST(DecodeImage, LosslessFormatsGiveTheSamePixels) {
  const Result<Image> png = decode_image(format_file("png-rgb.png"));
  const Result<Image> webp = decode_image(format_file("webp-lossless.webp"));
  ASSERT_TRUE(png && webp);
  EXPECT_EQ(png->width, 451);
  EXPECT_EQ(png->height, 300);
  EXPECT_EQ(png->rgb, webp->rgb);
}

TEST(DecodeImage, AlphaIsDroppedNotBlended) {
  const Result<Image> opaque = decode_image(format_file("png-rgb.png"));
  const Result<Image> alpha = decode_image(format_file("png-alpha.png"));
  ASSERT_TRUE(opaque && alpha);
  EXPECT_EQ(opaque->rgb, alpha->rgb);
}

TEST(DecodeImage, SixteenBitsKeepTheUpperEight) {
  const Result<Image> bits8 = decode_image(format_file("png-rgb.png"));
  const Result<Image> bits16 = decode_image(format_file("png-rgb16.png"));
  ASSERT_TRUE(bits8 && bits16);
  size_t off_by_more_than_one = 0;
  for (size_t i = 0; i < bits8->rgb.size(); ++i) {
    if (std::abs(bits8->rgb[i] - bits16->rgb[i]) > 1) ++off_by_more_than_one;
  }
  EXPECT_EQ(off_by_more_than_one, 0U);
}

TEST(DecodeImage, GreyIsRepeatedInAllChannels) {
  const Result<Image> grey = decode_image(format_file("jpeg-grey.jpg"));
  ASSERT_TRUE(grey);
  for (size_t i = 0; i < grey->rgb.size(); i += 3) {
    ASSERT_EQ(grey->rgb[i], grey->rgb[i + 1]);
    ASSERT_EQ(grey->rgb[i], grey->rgb[i + 2]);
  }
}

TEST(DecodeImage, ExifOrientationIsNotApplied) {
  const Result<Image> turned = decode_image(format_file("jpeg-exif-turned.jpg"));
  ASSERT_TRUE(turned);
  EXPECT_EQ(turned->width, 451);
  EXPECT_EQ(turned->height, 300);
}

TEST(DecodeImage, LargeJpegIsScaledWhileDecodedButNeverBelowTheLimit) {
  const std::string bytes = format_file("jpeg-large.jpg");  // 2255 × 1500
  const Result<Image> scaled = decode_image(bytes, {.keep_side_min = 512});
  ASSERT_TRUE(scaled);
  EXPECT_EQ(scaled->height, 750);
  EXPECT_EQ(scaled->file_height, 1500);
  EXPECT_EQ(scaled->file_width, 2255);
  EXPECT_EQ(decode_image(bytes, {.keep_side_min = 751})->height, 1500);
  EXPECT_EQ(decode_image(bytes, {.keep_side_min = 0})->height, 1500);
}

TEST(DecodeImage, FilesThatAreCutShortAreRefused) {
  for (const char* name : {"truncated.jpg", "truncated.png", "truncated.webp"}) {
    EXPECT_EQ(refusal(broken_file(name)).code(), Code::kInvalidArgument) << name;
  }
}

TEST(DecodeImage, EveryCutOfASmallFileIsRefusedOrWholeAndNeverCrashes) {
  for (const char* name : {"png-tiny.png", "png-narrow.png"}) {
    const std::string whole = format_file(name);
    for (size_t size = 0; size + 12 < whole.size(); size += 1 + size / 50) {
      EXPECT_FALSE(decode_image(std::string_view(whole).substr(0, size))) << name << " at " << size;
    }
  }
  const std::string jpeg = format_file("jpeg-odd-size.jpg");
  for (size_t size = 0; size < jpeg.size() - 2; size += 1 + size / 20) {
    EXPECT_FALSE(decode_image(std::string_view(jpeg).substr(0, size))) << "jpeg at " << size;
  }
}

// Each scan begins with its tables: a cut in these draws several warnings.
TEST(DecodeImage, AProgressiveJpegThatIsCutWithinItsTablesIsRefused) {
  const std::string jpeg = format_file("jpeg-progressive.jpg");
  size_t cuts = 0;
  for (size_t at = 0; (at = jpeg.find("\xff\xc4", at + 1)) != std::string::npos;) {
    for (size_t size = at; size < at + 24; size += 3, ++cuts) {
      EXPECT_FALSE(decode_image(std::string_view(jpeg).substr(0, size))) << size;
    }
  }
  EXPECT_GT(cuts, 40U);
}

TEST(DecodeImage, WrongChecksumIsRefused) {
  EXPECT_THAT(refusal(broken_file("bad-checksum.png")).message(), HasSubstr("CRC"));
}

TEST(DecodeImage, WhatIsNoImageIsNamedSo) {
  EXPECT_EQ(refusal("").message(), "the file is empty");
  EXPECT_EQ(refusal(broken_file("text.jpg")).message(), "not a JPEG, PNG or WebP file");
}

TEST(DecodeImage, SmallFileThatAnnouncesManyPixelsIsRefusedByItsHeader) {
  const Status status = refusal(broken_file("bomb.png"));
  EXPECT_EQ(status.code(), Code::kTooLarge);
  EXPECT_THAT(status.message(), HasSubstr("60000 × 60000"));
}

TEST(DecodeImage, LimitsAreExact) {
  const std::string bytes = format_file("jpeg-420.jpg");  // 451 × 300
  EXPECT_TRUE(decode_image(bytes, {.pixels_max = 451 * 300}));
  EXPECT_EQ(refusal(bytes, {.pixels_max = 451 * 300 - 1}).code(), Code::kTooLarge);
  EXPECT_TRUE(decode_image(bytes, {.side_max = 451}));
  EXPECT_EQ(refusal(bytes, {.side_max = 450}).code(), Code::kTooLarge);
}

}  // namespace
}  // namespace ca4::producer
