#include "producer/onnx_device.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "producer/gpu.h"
#include "producer/python_packages.h"

namespace ca4::producer {
namespace {

constexpr std::string_view kRemedy =
    "`pip install onnxruntime-gpu` (and not onnxruntime) brings one that can, with its CUDA "
    "libraries by `pip install 'onnxruntime-gpu[cuda,cudnn]'`";

bool is_built_for_cuda() {
  const std::vector<std::string> providers = Ort::GetAvailableProviders();
  return std::ranges::find(providers, "CUDAExecutionProvider") != providers.end();
}

// May throw Ort::Exception: CUDA's or cuDNN's libraries are missing or do not fit.
void add_cuda(Ort::SessionOptions& options, bool is_half) {
  OrtCUDAProviderOptionsV2* raw = nullptr;
  Ort::ThrowOnError(Ort::GetApi().CreateCUDAProviderOptions(&raw));
  const auto release = [](OrtCUDAProviderOptionsV2* p) {
    Ort::GetApi().ReleaseCUDAProviderOptions(p);
  };
  const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(release)> cuda(raw, release);
  // The search by trial, which is the default, stops the run for seconds at each new batch size:
  // at the last batch of each run.
  // TF32, ONNX Runtime's default, computes float32 models with 10 bits of their 23: it moved
  // embeddings of a ResNet50 to a cosine of 0.9998. Who wants that speed has float16, for whose
  // convolutions cuDNN finds nothing fast, and says so at each, when TF32 is forbidden.
  const std::array<const char*, 2> keys = {"cudnn_conv_algo_search", "use_tf32"};
  const std::array<const char*, 2> values = {"HEURISTIC", is_half ? "1" : "0"};
  Ort::ThrowOnError(
      Ort::GetApi().UpdateCUDAProviderOptions(cuda.get(), keys.data(), values.data(), keys.size()));
  options.AppendExecutionProvider_CUDA_V2(*cuda);
}

}  // namespace

Result<Device> parse_device(const std::string& text) {
  if (text == "auto") return Device::kAuto;
  if (text == "cpu") return Device::kCpu;
  if (text == "cuda") return Device::kCuda;
  return Status(Code::kUsage, fmt::format("device \"{}\": it is auto, cpu or cuda", text));
}

Result<ChosenDevice> choose_device(Device wanted, bool has_gpu, bool is_half,
                                   const std::string& library, Ort::SessionOptions& options) {
  if (wanted == Device::kCpu || (wanted == Device::kAuto && !has_gpu)) return ChosenDevice{};
  std::string why;
  if (!has_gpu) {
    why = "the NVIDIA driver names no GPU on this machine (does nvidia-smi show one?)";
  } else if (!is_built_for_cuda()) {
    why = fmt::format("{} is a build without CUDA; {}", library, kRemedy);
  } else {
    try {
      preload_nvidia_packages(library);
      sleep_while_gpu_works();
      add_cuda(options, is_half);
      return ChosenDevice{.is_cuda = true, .advice = ""};
    } catch (const Ort::Exception& e) {
      why = fmt::format("{} does not start CUDA: {}; {}", library, e.what(), kRemedy);
    }
  }
  if (wanted == Device::kCuda) return Status(Code::kInvalidArgument, "no GPU to run on: " + why);
  return ChosenDevice{.is_cuda = false, .advice = "there is a GPU, but the CPU is used: " + why};
}

}  // namespace ca4::producer
