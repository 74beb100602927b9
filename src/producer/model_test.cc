#include "producer/model.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "producer/onnx_library.h"
#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using testing::HasSubstr;

Result<std::unique_ptr<Embedder>> lite0(const std::string& output = "") {
  return open_model({.path = deps("model/efficientnet_lite0.onnx"),
                     .ort_path = deps("onnxruntime/lib/libonnxruntime.so"),
                     .output = output});
}

Tensor tensor_of(const std::string& photo, const Preprocess& how) {
  const Result<Image> image = decode_image(slurp(deps("images/photos/" + photo)));
  EXPECT_TRUE(image) << photo;
  return to_tensor(*image, how);
}

std::vector<float> embed(Embedder& model, const std::string& photo) {
  Result<std::vector<float>> out =
      model.run(std::vector<Tensor>{tensor_of(photo, model.info().preprocess)});
  EXPECT_TRUE(out) << out.status().message();
  return std::move(*out);
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  const auto dot = [](const auto& x, const auto& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

TEST(Model, SaysWhatItIsAndWhatPicturesNeed) {
  const auto model = lite0();
  ASSERT_TRUE(model) << model.status().message();
  const ModelInfo& info = (*model)->info();
  EXPECT_EQ(info.name, "efficientnet_lite0");
  EXPECT_EQ(info.output, "embedding");
  EXPECT_EQ(info.dim, 1280U);
  EXPECT_EQ(info.batch, 0U);
  EXPECT_EQ(info.sha256.size(), 64U);
  EXPECT_NEAR(info.preprocess.mean[0], 127 / 255.0, 1e-6);
  EXPECT_THAT(info.runtime, HasSubstr("onnxruntime 1."));
}

TEST(Model, LikenessesOfTheCatAreNearerThanAnyOtherPhoto) {
  const auto model = lite0();
  ASSERT_TRUE(model) << model.status().message();
  const std::vector<float> cat = embed(**model, "chelsea.png");
  double farthest_cat = 1;
  for (const char* photo : {"chelsea-crop.jpg", "chelsea-mirrored.webp", "chelsea-small.png"}) {
    farthest_cat = std::min(farthest_cat, cosine(cat, embed(**model, photo)));
  }
  for (const char* photo :
       {"rocket.jpg", "coffee.png", "astronaut.png", "flower.jpg", "moon.png"}) {
    EXPECT_LT(cosine(cat, embed(**model, photo)), farthest_cat) << photo;
  }
  EXPECT_GT(farthest_cat, 0.7);
}

TEST(Model, SeesACatInTheCat) {
  const auto model = lite0("logits");
  ASSERT_TRUE(model) << model.status().message();
  const std::vector<float> logits = embed(**model, "chelsea.png");
  ASSERT_EQ(logits.size(), 1000U);
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  EXPECT_THAT(best, testing::AnyOf(281, 282, 285));  // tabby, tiger cat, Egyptian cat
}

TEST(Model, BatchGivesWhatSingleImagesGive) {
  const auto model = lite0();
  ASSERT_TRUE(model) << model.status().message();
  const Preprocess& how = (*model)->info().preprocess;
  const auto both = (*model)->run(
      std::vector<Tensor>{tensor_of("rocket.jpg", how), tensor_of("coffee.png", how)});
  ASSERT_TRUE(both);
  ASSERT_EQ(both->size(), 2U * 1280);
  const std::vector<float> coffee = embed(**model, "coffee.png");
  for (size_t i = 0; i < coffee.size(); ++i) EXPECT_NEAR((*both)[1280 + i], coffee[i], 1e-3);
}

TEST(Model, ScalingALargeJpegWhileDecodingHardlyMovesItsEmbedding) {
  const auto model = lite0();
  ASSERT_TRUE(model) << model.status().message();
  const std::string bytes = slurp(deps("images/formats/jpeg-large.jpg"));
  std::vector<std::vector<float>> embeddings;
  for (const int keep_side_min : {0, 512}) {
    const Result<Image> image = decode_image(bytes, {.keep_side_min = keep_side_min});
    ASSERT_TRUE(image);
    embeddings.push_back(
        *(*model)->run(std::vector<Tensor>{to_tensor(*image, (*model)->info().preprocess)}));
  }
  EXPECT_GT(cosine(embeddings[0], embeddings[1]), 0.995);
}

TEST(Model, UnknownOutputIsRefusedWithTheOnesThereAre) {
  const Status status = lite0("pool5").status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(
      status.message(),
      testing::AllOf(HasSubstr("pool5"), HasSubstr("embedding (-1, 1280)"), HasSubstr("logits")));
}

TEST(Model, MissingFileNamesItself) {
  const Status status =
      open_model({.path = "/nonexistent.onnx", .ort_path = "", .output = ""}).status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("/nonexistent.onnx"));
}

TEST(Model, FileThatIsNoModelIsRefused) {
  const TempDir folder;
  spill(folder / "m.onnx", "not a model");
  const Status status = open_model({.path = folder / "m.onnx",
                                    .ort_path = deps("onnxruntime/lib/libonnxruntime.so"),
                                    .output = ""})
                            .status();
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("m.onnx"));
}

TEST(OnnxLibrary, OtherLibraryIsNotTaken) {
  const Status status = open_onnx_library("libc.so.6").status();
  EXPECT_EQ(status.message(), "libc.so.6 is not ONNX Runtime");
}

TEST(OnnxLibrary, MissingOneIsNotFound) {
  EXPECT_EQ(open_onnx_library("/nonexistent/libonnxruntime.so").status().code(), Code::kNotFound);
}

TEST(OnnxLibrary, SystemsComesLast) {
  EXPECT_EQ(onnx_candidates().back(), "libonnxruntime.so");
}

}  // namespace
}  // namespace ca4::producer
