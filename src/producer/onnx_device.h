// Which processor a model runs on.
#pragma once

#include <string>

#include "base/status.h"

namespace Ort {
struct SessionOptions;
}

namespace ca4::producer {

enum class Device { kAuto, kCpu, kCuda };

// "auto", "cpu" or "cuda". kUsage with those names otherwise.
Result<Device> parse_device(const std::string& text);

struct ChosenDevice {
  bool is_cuda = false;
  // What a person should do to get more out of this machine; empty: nothing.
  std::string advice;
};

// Sets `options` up for the device that is `wanted` and can be had with this ONNX Runtime, whose
// file is `library`. kAuto takes the GPU when the driver names one and the library is built for it,
// the CPU otherwise. kCuda that can't be had is kInvalidArgument with the reason and the remedy.
// Call after Ort::InitApi. `has_gpu`: does the driver name a GPU? `is_half`: the model is float16.
Result<ChosenDevice> choose_device(Device wanted, bool has_gpu, bool is_half,
                                   const std::string& library, Ort::SessionOptions& options);

}  // namespace ca4::producer
