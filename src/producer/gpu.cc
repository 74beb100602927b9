#include "producer/gpu.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "producer/nvidia_api.h"

namespace ca4::producer {
namespace {

using Json = nlohmann::ordered_json;

// A library that is there while this lives; a function of it is null when the library lacks it.
class Library {
 public:
  explicit Library(const std::string& name)
      : handle_(dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {}
  ~Library() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  bool is_open() const { return handle_ != nullptr; }
  template <class Function>
  Function* get(const char* name) const {
    return handle_ == nullptr ? nullptr : reinterpret_cast<Function*>(dlsym(handle_, name));
  }

 private:
  void* handle_;
};

template <class Function, class... Args>
bool call(Function* function, Args... args) {
  return function != nullptr && function(args...) == 0;
}

std::string cpu_model(const std::string& cpu_info_file) {
  std::ifstream file(cpu_info_file);
  for (std::string line; std::getline(file, line);) {
    // "model name" on x86; Arm machines have no such line.
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

Json without_gpu(const std::string& reason) {
  return {{"available", false}, {"device", "cpu"}, {"reason", reason}};
}

Json device_text(const Library& nvml, const char* function, NvmlDevice device) {
  std::array<char, kNvmlTextBytes> text{};
  if (!call(nvml.get<NvmlDeviceText>(function), device, text.data(), kNvmlTextBytes))
    return nullptr;
  return text.data();
}

// NVML has no count of multiprocessors; the CUDA driver has. Its first device is NVML's first
// unless CUDA_VISIBLE_DEVICES or CUDA_DEVICE_ORDER say otherwise.
Json multi_processors(const std::string& cuda_library) {
  const Library cuda(cuda_library);
  int device = 0;
  int count = 0;
  if (call(cuda.get<CudaInit>("cuInit"), 0U) &&
      call(cuda.get<CudaDeviceGet>("cuDeviceGet"), &device, 0) &&
      call(cuda.get<CudaDeviceAttribute>("cuDeviceGetAttribute"), &count,
           kCudaAttributeMultiProcessors, device)) {
    return count;
  }
  return nullptr;
}

void add_memory(const Library& nvml, NvmlDevice device, Json& block) {
  NvmlMemory memory{};
  const bool known = call(nvml.get<NvmlDeviceMemory>("nvmlDeviceGetMemoryInfo"), device, &memory);
  block["total_memory_gb"] = nullptr;
  block["memory_allocated_mb"] = nullptr;
  if (!known) return;
  block["total_memory_gb"] = static_cast<double>(memory.total_bytes) / 1e9;
  block["memory_allocated_mb"] = static_cast<double>(memory.used_bytes) / 1e6;
}

void add_versions(const Library& nvml, NvmlDevice device, Json& block) {
  int major = 0;
  int minor = 0;
  block["cuda_compute_capability"] = nullptr;
  if (call(nvml.get<NvmlDeviceCapability>("nvmlDeviceGetCudaComputeCapability"), device, &major,
           &minor)) {
    block["cuda_compute_capability"] = fmt::format("{}.{}", major, minor);
  }
  int cuda = 0;
  block["cuda_version"] = nullptr;
  // 12040 is 12.4.
  if (call(nvml.get<NvmlCudaVersion>("nvmlSystemGetCudaDriverVersion_v2"), &cuda)) {
    block["cuda_version"] = fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10);
  }
  std::array<char, kNvmlTextBytes> driver{};
  block["driver_version"] = nullptr;
  if (call(nvml.get<NvmlDriverVersion>("nvmlSystemGetDriverVersion"), driver.data(),
           kNvmlTextBytes)) {
    block["driver_version"] = driver.data();
  }
}

Json first_device(const Library& nvml, const GpuProbe& probe) {
  unsigned count = 0;
  if (!call(nvml.get<NvmlDeviceCount>("nvmlDeviceGetCount_v2"), &count)) {
    return without_gpu("the NVIDIA driver does not say how many GPUs there are");
  }
  if (count == 0) return without_gpu("the NVIDIA driver sees no GPU");
  NvmlDevice device = nullptr;
  if (!call(nvml.get<NvmlDeviceHandle>("nvmlDeviceGetHandleByIndex_v2"), 0U, &device)) {
    return without_gpu("the NVIDIA driver does not give access to the GPU");
  }
  Json block = {{"available", true}, {"device", "cuda"}};
  block["name"] = device_text(nvml, "nvmlDeviceGetName", device);
  add_memory(nvml, device, block);
  block["multi_processor_count"] = multi_processors(probe.cuda_library);
  add_versions(nvml, device, block);
  block["uuid"] = device_text(nvml, "nvmlDeviceGetUUID", device);
  block["device_count"] = count;
  return block;
}

Json probe_nvml(const GpuProbe& probe) {
  const Library nvml(probe.nvml_library);
  if (!nvml.is_open()) {
    return without_gpu(fmt::format("no NVIDIA driver: {} cannot be opened", probe.nvml_library));
  }
  auto* const init = nvml.get<NvmlInit>("nvmlInit_v2");
  if (init == nullptr) {
    return without_gpu(fmt::format("{} is not NVML", probe.nvml_library));
  }
  if (const int result = init(); result != 0) {
    auto* const explain = nvml.get<NvmlErrorString>("nvmlErrorString");
    return without_gpu(fmt::format("the NVIDIA driver does not start: {}",
                                   explain == nullptr ? std::to_string(result) : explain(result)));
  }
  Json block = first_device(nvml, probe);
  call(nvml.get<NvmlShutdown>("nvmlShutdown"));
  return block;
}

}  // namespace

std::string gpu_hardware_json(const GpuProbe& probe) {
  Json block = probe_nvml(probe);
  block["cpu_model"] = cpu_model(probe.cpu_info_file);
  block["cpu_cores"] = std::thread::hardware_concurrency();
  return block.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ca4::producer
