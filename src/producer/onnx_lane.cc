#include "producer/onnx_lane.h"

#include <cstring>

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

std::span<std::byte> OnnxLane::staging(size_t bytes) {
  if (staging_.size() < bytes) staging_ = allocator_.GetAllocation(bytes);
  return {static_cast<std::byte*>(staging_.get()), bytes};
}

Ort::Value OnnxLane::input_value(std::span<const Tensor> images, size_t rows) {
  std::vector<int64_t> shape = {static_cast<int64_t>(rows)};
  shape.insert(shape.end(), shape_.input.begin(), shape_.input.end());
  const std::span<std::byte> batch = staging(rows * images.front().size());
  // As whole blocks: the algorithms of the standard library copy such bytes one by one.
  size_t at = 0;
  for (const Tensor& image : images) {
    std::memcpy(&batch[at], image.data(), image.size());
    at += image.size();
  }
  if (at < batch.size()) std::memset(&batch[at], 0, batch.size() - at);
  return Ort::Value::CreateTensor(memory_, batch.data(), batch.size(), shape.data(), shape.size(),
                                  shape_.half_input ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
                                                    : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT);
}

Status OnnxLane::run(std::span<const Tensor> images, size_t rows, std::vector<float>& out) {
  const Ort::Value input = input_value(images, rows);
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
  return append_pooled(data, info.GetShape(), rows, images.size(), out);
}

}  // namespace ca4::producer
