#include "producer/model_files.h"

#include <gmock/gmock.h>

#include <utility>

#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// A protobuf field of fewer than 128 bytes.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}

// A TensorProto whose numbers are in another file.
std::string tensor_in(const std::string& file) {
  return field(13, field(1, "location") + field(2, file)) +
         field(13, field(1, "offset") + field(2, "0")) + "\x70\x01";  // data_location: EXTERNAL
}

std::string model_of(const std::string& graph) {
  return "\x08\x08" + field(2, "pytorch") + field(7, graph);  // ir_version, producer_name
}

TEST(ExternalFiles, AreFoundInWeightsConstantsAndGraphsWithinGraphs) {
  const std::string constant = field(1, field(5, field(5, tensor_in("b.data"))));
  const std::string branch = field(1, field(5, field(6, field(5, tensor_in("c.data")))));
  const std::string model = model_of(field(5, tensor_in("a.data")) + constant + branch);
  EXPECT_THAT(external_files(model), ElementsAre("a.data", "b.data", "c.data"));
  EXPECT_THAT(external_files(slurp(deps("model/efficientnet_lite0.onnx"))), IsEmpty());
}

TEST(ExternalFiles, OfAnyPieceOfAModelNoneIsMadeUp) {
  const std::string model = model_of(field(5, tensor_in("a.data")));
  for (size_t size = 0; size < model.size(); ++size) {
    EXPECT_THAT(external_files(model.substr(0, size)), testing::SizeIs(testing::Le(1U))) << size;
  }
  EXPECT_THAT(external_files(std::string(100, '\xff')), IsEmpty());
}

TEST(ModelSha256, OtherWeightsBesideTheSameFileAreAnotherModel) {
  const TempDir folder;
  spill(folder / "m.onnx", model_of(field(5, tensor_in("m.data"))));
  EXPECT_EQ(model_sha256_hex(folder / "m.onnx").status().code(), Code::kNotFound);
  EXPECT_THAT(model_sha256_hex(folder / "m.onnx").status().message(), HasSubstr("m.data"));
  spill(folder / "m.data", "weights");
  const std::string first = model_sha256_hex(folder / "m.onnx").value();
  EXPECT_EQ(first.size(), 64U);
  EXPECT_EQ(first, model_sha256_hex(folder / "m.onnx").value());
  spill(folder / "m.data", "others");
  EXPECT_NE(first, model_sha256_hex(folder / "m.onnx").value());
}

}  // namespace
}  // namespace ca4::producer
