#include "producer/gpu.h"

#include <fmt/format.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "producer/gpu_device.h"
#include "producer/python_packages.h"

namespace ca4::producer {
namespace {

using Json = nlohmann::ordered_json;

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

// What CUDA gives this process as its first device.
struct CudaDevice {
  Json multi_processors;  // NVML has no count of them
  std::string uuid;       // without its prefix; empty: not known
};

CudaDevice first_cuda_device(const SharedLibrary& cuda) {
  CudaDevice out;
  int device = 0;
  if (!call(cuda.get<CudaInit>("cuInit"), 0U) ||
      !call(cuda.get<CudaDeviceGet>("cuDeviceGet"), &device, 0)) {
    return out;
  }
  int count = 0;
  if (call(cuda.get<CudaDeviceAttribute>("cuDeviceGetAttribute"), &count,
           kCudaAttributeMultiProcessors, device)) {
    out.multi_processors = count;
  }
  std::array<unsigned char, 16> bytes{};
  if (call(cuda.get<CudaDeviceUuid>("cuDeviceGetUuid_v2"), bytes.data(), device)) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      const bool dash = i == 4 || i == 6 || i == 8 || i == 10;
      out.uuid += fmt::format("{}{:02x}", dash ? "-" : "", bytes[i]);
    }
  }
  return out;
}

Json cudnn_version(const GpuProbe& probe) {
  std::vector<std::string> candidates = probe.cudnn_libraries;
  for (std::string& path : nvidia_packages("")) {
    if (path.find("/libcudnn.so.") != std::string::npos) candidates.push_back(std::move(path));
  }
  for (const std::string& name : candidates) {
    const SharedLibrary cudnn(name);
    auto* const version = cudnn.get<CudnnVersion>("cudnnGetVersion");
    if (version != nullptr) return version();
  }
  return nullptr;
}

Json cuda_version(const SharedLibrary& nvml) {
  int cuda = 0;
  if (!call(nvml.get<NvmlCudaVersion>("nvmlSystemGetCudaDriverVersion_v2"), &cuda)) return nullptr;
  return fmt::format("{}.{}", cuda / 1000, cuda % 1000 / 10);  // 12040 is 12.4
}

Json driver_version(const SharedLibrary& nvml) {
  std::array<char, kNvmlTextBytes> text{};
  if (!call(nvml.get<NvmlDriverVersion>("nvmlSystemGetDriverVersion"), text.data(),
            kNvmlTextBytes)) {
    return nullptr;
  }
  return text.data();
}

}  // namespace

// Found once; `reason` says why there are no devices.
struct GpuMonitor::Driver {
  explicit Driver(const GpuProbe& probe) : nvml(probe.nvml_library), cuda(probe.cuda_library) {
    if (!nvml.is_open()) {
      reason = fmt::format("no NVIDIA driver: {} cannot be opened", probe.nvml_library);
      return;
    }
    auto* const init = nvml.get<NvmlInit>("nvmlInit_v2");
    if (init == nullptr) {
      reason = fmt::format("{} is not NVML", probe.nvml_library);
      return;
    }
    if (const int result = init(); result != 0) {
      auto* const explain = nvml.get<NvmlErrorString>("nvmlErrorString");
      reason = fmt::format("the NVIDIA driver does not start: {}",
                           explain == nullptr ? std::to_string(result) : explain(result));
      return;
    }
    started = true;
    find_devices();
    if (devices.empty()) return;
    first_cuda = first_cuda_device(cuda);
    for (unsigned i = 0; i < devices.size() && !first_cuda.uuid.empty(); ++i) {
      if (has_uuid(nvml, devices[i], first_cuda.uuid)) used = i;
    }
    cudnn = cudnn_version(probe);
  }
  ~Driver() {
    if (started) call(nvml.get<NvmlShutdown>("nvmlShutdown"));
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void find_devices() {
    unsigned count = 0;
    if (!call(nvml.get<NvmlDeviceCount>("nvmlDeviceGetCount_v2"), &count)) {
      reason = "the NVIDIA driver does not say how many GPUs there are";
      return;
    }
    reason = count == 0 ? "the NVIDIA driver sees no GPU"
                        : "the NVIDIA driver does not give access to the GPU";
    for (unsigned i = 0; i < count; ++i) {
      NvmlDevice device = nullptr;
      if (call(nvml.get<NvmlDeviceHandle>("nvmlDeviceGetHandleByIndex_v2"), i, &device)) {
        devices.push_back(device);
      }
    }
  }

  Json block() const {
    if (devices.empty()) return without_gpu(reason);
    Json out = {{"available", true}, {"device", "cuda"}};
    out.update(device_block(nvml, devices[used], used));
    out["multi_processor_count"] = first_cuda.multi_processors;
    out["cuda_version"] = cuda_version(nvml);
    out["pytorch_version"] = nullptr;
    out["cudnn_version"] = cudnn;
    out["driver_version"] = driver_version(nvml);
    out["device_count"] = devices.size();
    if (devices.size() > 1) {
      out["devices"] = Json::array();
      for (unsigned i = 0; i < devices.size(); ++i) {
        out["devices"].push_back(device_block(nvml, devices[i], i));
      }
    }
    return out;
  }

  const SharedLibrary nvml;
  const SharedLibrary cuda;
  bool started = false;
  std::string reason;
  std::vector<NvmlDevice> devices;
  unsigned used = 0;  // index of the one that CUDA takes first
  CudaDevice first_cuda;
  Json cudnn;
};

GpuMonitor::GpuMonitor(GpuProbe probe)
    : probe_(std::move(probe)), driver_(std::make_unique<const Driver>(probe_)) {}
GpuMonitor::~GpuMonitor() = default;

std::string GpuMonitor::hardware_json() const {
  const std::scoped_lock lock(mutex_);
  Json block = driver_->block();
  block["cpu_model"] = cpu_model(probe_.cpu_info_file);
  block["cpu_cores"] = std::thread::hardware_concurrency();
  const Json known = Json::parse(probe_.known_json, nullptr, /*allow_exceptions=*/false);
  if (known.is_object() && block["available"] == true) block.update(known);
  return block.dump(-1, ' ', false, Json::error_handler_t::replace);
}

GpuSample GpuMonitor::sample() const {
  const std::scoped_lock lock(mutex_);
  if (driver_->devices.empty()) return {};
  return device_sample(driver_->nvml, driver_->devices[driver_->used]);
}

bool has_cuda_device(const GpuProbe& probe) {
  const SharedLibrary cuda(probe.cuda_library);
  int count = 0;
  return call(cuda.get<CudaInit>("cuInit"), 0U) &&
         call(cuda.get<CudaDeviceCount>("cuDeviceGetCount"), &count) && count > 0;
}

bool sleep_while_gpu_works(const GpuProbe& probe) {
  // Never closed: the driver would forget it.
  static const SharedLibrary& cuda = *new SharedLibrary(probe.cuda_library);
  int device = 0;
  return call(cuda.get<CudaInit>("cuInit"), 0U) &&
         call(cuda.get<CudaDeviceGet>("cuDeviceGet"), &device, 0) &&
         call(cuda.get<CudaPrimaryFlags>("cuDevicePrimaryCtxSetFlags_v2"), device,
              kCudaBlockingSync);
}

}  // namespace ca4::producer
