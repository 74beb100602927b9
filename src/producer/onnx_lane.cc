#include "producer/onnx_lane.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "producer/half.h"
#include "producer/model_input.h"

namespace ca4::producer {
namespace {

Ort::MemoryInfo memory_for(bool on_gpu) {
  if (!on_gpu) return Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  return {"CudaPinned", OrtDeviceAllocator, 0, OrtMemTypeCPUOutput};
}

}  // namespace

OnnxLane::OnnxLane(Ort::Session& session, const LaneShape& shape)
    : session_(session),
      shape_(shape),
      memory_(memory_for(shape.on_gpu)),
      allocator_(session, memory_),
      binding_(session),
      staging_(nullptr, nullptr, 0) {}

void* OnnxLane::staging(size_t bytes) {
  if (staging_.size() < bytes) staging_ = allocator_.GetAllocation(bytes);
  return staging_.get();
}

Ort::Value OnnxLane::input_value(std::span<const float> tensors, size_t rows) {
  std::vector<int64_t> shape = {static_cast<int64_t>(rows)};
  shape.insert(shape.end(), shape_.input.begin(), shape_.input.end());
  const auto floats = static_cast<size_t>(
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()));
  if (shape_.half_input) {
    const std::span halves(static_cast<uint16_t*>(staging(floats * sizeof(uint16_t))), floats);
    narrow(tensors, halves.first(tensors.size()));
    std::ranges::fill(halves.subspan(tensors.size()), uint16_t{0});
    return Ort::Value::CreateTensor(memory_, halves.data(), halves.size_bytes(), shape.data(),
                                    shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16);
  }
  // ONNX Runtime's signature is not const; an input is only read.
  auto* data = const_cast<float*>(tensors.data());
  if (shape_.on_gpu || floats != tensors.size()) {
    data = static_cast<float*>(staging(floats * sizeof(float)));
    std::ranges::copy(tensors, data);
    std::fill(data + tensors.size(), data + floats, 0.0F);
  }
  return Ort::Value::CreateTensor<float>(memory_, data, floats, shape.data(), shape.size());
}

void OnnxLane::run(std::span<const float> tensors, size_t rows, size_t count,
                   std::vector<float>& out) {
  const Ort::Value input = input_value(tensors, rows);
  binding_.BindInput(shape_.input_name.c_str(), input);
  binding_.BindOutput(shape_.output_name.c_str(), memory_);
  session_.Run(Ort::RunOptions{nullptr}, binding_);
  const std::vector<Ort::Value> results = binding_.GetOutputValues();
  const auto info = results.front().GetTensorTypeAndShapeInfo();
  const float* data = nullptr;
  if (shape_.half_output) {
    widened_.resize(info.GetElementCount());
    widen({static_cast<const uint16_t*>(results.front().GetTensorRawData()), widened_.size()},
          widened_);
    data = widened_.data();
  } else {
    data = results.front().GetTensorData<float>();
  }
  append_pooled(data, info.GetShape(), count, out);
}

}  // namespace ca4::producer
