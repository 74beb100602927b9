// An image model in an ONNX file, run by ONNX Runtime on the CPU or an NVIDIA GPU.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "producer/embedder.h"
#include "producer/onnx_device.h"

namespace ca4::producer {

struct ModelOptions {
  std::string path;
  std::string ort_path;  // empty: see onnx_candidates
  // Which output is the embedding. Empty: the one named embedding, embeddings, features,
  // image_embeds or pooler_output; else the first of shape (N, C); else the first of shape
  // (N, C, H, W), averaged over H and W.
  std::string output;
  int threads = 0;  // of all runs at once; 0: one a core, the work is nothing but arithmetic
  Device device = Device::kAuto;
  // Several lanes for many batches, instead of all threads for the single run.
  bool for_throughput = false;
  // Told, once, what a person should do to get more out of this machine; null: nobody is.
  std::function<void(const std::string& advice)> advise = nullptr;
};

// Any model with one float32 or float16 input (N, 3, H, H) or (N, H, H, 3), N and H fixed or free
// (free: 224).
// What pictures must go through is taken from the file's metadata, written as text: ca4.mean and
// ca4.std ("r,g,b", of pixels from 0 to 1), ca4.resize and ca4.crop (pixels); otherwise as
// torchvision does it: ImageNet's mean and deviation, crop H, resize H × 256 / 224. ca4.name is the
// model's name, otherwise the file's without its ending.
//
// kNotFound: no file, or no ONNX Runtime. kInvalidArgument: not such a model; the message says what
// it is instead. Runs the model once, so that the first batch costs what the others do.
Result<std::unique_ptr<Embedder>> open_model(const ModelOptions& options);

}  // namespace ca4::producer
