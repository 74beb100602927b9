// One run at a time of an ONNX Runtime session: binds inputs and outputs, and makes float32 of what
// the model gives.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "base/status.h"
#include "producer/preprocess.h"

namespace ca4::producer {

struct LaneShape {
  std::string input_name;
  std::string output_name;
  bool half_input = false;     // float16 instead of float32
  bool half_output = false;    // as above
  bool on_gpu = false;         // batches go through pinned memory, which the GPU copies from itself
  std::vector<int64_t> input;  // of one image: (3, H, H) or (H, H, 3)
};

// One thread at a time; throws Ort::Exception.
class OnnxLane {
 public:
  // Both must outlive the lane.
  OnnxLane(Ort::Session& session, const LaneShape& shape);

  // `rows` images in, of which the first are `images` and the rest zeros; appends as many rows of
  // the output as there are `images` to `out`, averaged over height and width where it has them.
  // kInvalidArgument when the output has not a row an image.
  Status run(std::span<const Tensor> images, size_t rows, std::vector<float>& out);

 private:
  Ort::Value input_value(std::span<const Tensor> images, size_t rows);
  std::span<std::byte> staging(size_t bytes);

  Ort::Session& session_;
  const LaneShape& shape_;
  Ort::MemoryInfo memory_;
  Ort::Allocator allocator_;
  Ort::IoBinding binding_;
  Ort::MemoryAllocation staging_;  // a batch
  std::vector<float> widened_;
};

}  // namespace ca4::producer
