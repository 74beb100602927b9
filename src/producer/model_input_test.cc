#include "producer/model_input.h"

#include <gmock/gmock.h>

#include <map>

namespace ca4::producer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<ModelInput> read(const std::vector<int64_t>& shape,
                        const std::map<std::string, std::string>& metadata = {}) {
  return model_input(shape, [&](const std::string& key) {
    const auto at = metadata.find(key);
    return at == metadata.end() ? "" : at->second;
  });
}

TEST(ModelInput, WithoutMetadataIsTorchvisions) {
  const auto input = read({-1, 3, 224, 224});
  ASSERT_TRUE(input);
  EXPECT_EQ(input->batch, 0U);
  EXPECT_EQ(input->preprocess.resize_side, 256);
  EXPECT_EQ(input->preprocess.crop_side, 224);
  EXPECT_THAT(input->preprocess.mean, ElementsAre(0.485F, 0.456F, 0.406F));
  EXPECT_THAT(input->preprocess.std, ElementsAre(0.229F, 0.224F, 0.225F));
  EXPECT_FALSE(input->preprocess.channels_last);
}

TEST(ModelInput, MetadataOverrides) {
  const auto input = read({4, 3, -1, -1}, {{"ca4.mean", "0.5,0.25,0"},
                                           {"ca4.std", "1,2,3e-1"},
                                           {"ca4.resize", "320"},
                                           {"ca4.crop", "299"}});
  ASSERT_TRUE(input) << input.status().message();
  EXPECT_EQ(input->batch, 4U);
  EXPECT_EQ(input->preprocess.resize_side, 320);
  EXPECT_EQ(input->preprocess.crop_side, 299);
  EXPECT_THAT(input->preprocess.mean, ElementsAre(0.5F, 0.25F, 0.0F));
  EXPECT_THAT(input->preprocess.std, ElementsAre(1.0F, 2.0F, 0.3F));
}

TEST(ModelInput, SizeOfTheInputDecidesCropAndResize) {
  const auto input = read({-1, 3, 299, 299});
  ASSERT_TRUE(input);
  EXPECT_EQ(input->preprocess.crop_side, 299);
  EXPECT_EQ(input->preprocess.resize_side, 341);
}

TEST(ModelInput, ChannelsLastIsRecognised) {
  const auto input = read({-1, 224, 224, 3});
  ASSERT_TRUE(input);
  EXPECT_TRUE(input->preprocess.channels_last);
}

TEST(ModelInput, WhatIsNoImageInputIsRefusedWithItsShape) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{-1, 768}, {1, 1, 28, 28}, {1, 3, 224, 320}, {1, 3, 9000, 9000}}) {
    const Status status = read(shape).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("(N, 3, H, H)"));
  }
}

TEST(ModelInput, MetadataThatMakesNoSenseIsRefusedByName) {
  const std::map<std::string, std::string> mistakes[] = {
      {{"ca4.mean", "0.5"}},     {{"ca4.mean", "0.5,0.5,0.5,0.5"}},
      {{"ca4.std", "1,0,1"}},    {{"ca4.std", "1,nan,1"}},
      {{"ca4.std", "a,b,c"}},    {{"ca4.crop", "225"}},
      {{"ca4.resize", "100"}},   {{"ca4.resize", "-1"}},
      {{"ca4.resize", "256px"}}, {{"ca4.resize", "99999999"}},
  };
  for (const auto& metadata : mistakes) {
    const Status status = read({-1, 3, 224, 224}, metadata).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << metadata.begin()->second;
    EXPECT_THAT(status.message(), HasSubstr(metadata.begin()->first));
  }
}

TEST(AppendPooled, AveragesOverTheMap) {
  const float maps[] = {1, 2, 3, 6, 10, 20, 30, 40, 9, 9, 9, 9, 9, 9, 9, 9};
  std::vector<float> out;
  EXPECT_TRUE(append_pooled(maps, {2, 2, 2, 2}, 2, 1, out).is_ok());
  EXPECT_THAT(out, ElementsAre(3.0F, 25.0F));
  EXPECT_TRUE(append_pooled(maps, {2, 3}, 2, 2, out).is_ok());
  EXPECT_THAT(out, ElementsAre(3.0F, 25.0F, 1.0F, 2.0F, 3.0F, 6.0F, 10.0F, 20.0F));
}

TEST(AppendPooled, RowsThatAreNotTheImagesAreRefused) {
  const float row[] = {1, 2, 3};
  std::vector<float> out;
  for (const auto& shape : {std::vector<int64_t>{1, 3}, {3}, {3, 1, 1}, {}}) {
    const Status status = append_pooled(row, shape, 3, 2, out);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("for 3 images"));
  }
  EXPECT_TRUE(out.empty());
}

}  // namespace
}  // namespace ca4::producer
