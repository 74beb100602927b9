#include "producer/gpu_device.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

namespace ca4::producer {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

std::optional<double> number(const SharedLibrary& nvml, const char* function, NvmlDevice device) {
  unsigned value = 0;
  if (!call(nvml.get<NvmlDeviceNumber>(function), device, &value)) return std::nullopt;
  return value;
}

std::optional<double> clock_mhz(const SharedLibrary& nvml, NvmlDevice device, int type) {
  unsigned mhz = 0;
  if (!call(nvml.get<NvmlDeviceClock>("nvmlDeviceGetClockInfo"), device, type, &mhz)) {
    return std::nullopt;
  }
  return mhz;
}

std::optional<NvmlUtilization> utilization(const SharedLibrary& nvml, NvmlDevice device) {
  NvmlUtilization rates{};
  if (!call(nvml.get<NvmlDeviceUtilization>("nvmlDeviceGetUtilizationRates"), device, &rates)) {
    return std::nullopt;
  }
  return rates;
}

struct Memory {
  std::optional<double> total_bytes;
  std::optional<double> used_bytes;
  std::optional<double> reserved_bytes;
};

// Drivers before 510 have only the first version of the question, which counts as used what is
// reserved.
Memory memory(const SharedLibrary& nvml, NvmlDevice device) {
  NvmlMemoryV2 second{};
  second.version = kNvmlMemoryV2;
  if (call(nvml.get<NvmlDeviceMemoryV2>("nvmlDeviceGetMemoryInfo_v2"), device, &second)) {
    return {static_cast<double>(second.total_bytes), static_cast<double>(second.used_bytes),
            static_cast<double>(second.reserved_bytes)};
  }
  NvmlMemory first{};
  if (call(nvml.get<NvmlDeviceMemory>("nvmlDeviceGetMemoryInfo"), device, &first)) {
    return {static_cast<double>(first.total_bytes), static_cast<double>(first.used_bytes), {}};
  }
  return {};
}

std::optional<double> in(const std::optional<double>& bytes, double unit) {
  if (!bytes) return std::nullopt;
  return *bytes / unit;
}

// The slices that exist of a device with MIG on.
std::vector<NvmlDevice> mig_devices(const SharedLibrary& nvml, NvmlDevice device) {
  unsigned most = 0;
  std::vector<NvmlDevice> out;
  if (!call(nvml.get<NvmlDeviceNumber>("nvmlDeviceGetMaxMigDeviceCount"), device, &most)) {
    return out;
  }
  for (unsigned i = 0; i < most; ++i) {
    NvmlDevice slice = nullptr;
    if (call(nvml.get<NvmlMigHandle>("nvmlDeviceGetMigDeviceHandleByIndex"), device, i, &slice)) {
      out.push_back(slice);
    }
  }
  return out;
}

// Null where the GPU knows no MIG.
Json mig_block(const SharedLibrary& nvml, NvmlDevice device) {
  unsigned current = 0;
  unsigned pending = 0;
  if (!call(nvml.get<NvmlDeviceMigMode>("nvmlDeviceGetMigMode"), device, &current, &pending)) {
    return nullptr;
  }
  Json slices = Json::array();
  if (current != 0) {
    for (NvmlDevice slice : mig_devices(nvml, device)) {
      slices.push_back({{"name", text_or_null(device_text(nvml, "nvmlDeviceGetName", slice))},
                        {"uuid", text_or_null(device_text(nvml, "nvmlDeviceGetUUID", slice))},
                        {"total_memory_gb", or_null(in(memory(nvml, slice).total_bytes, 1e9))}});
    }
  }
  return {{"enabled", current != 0}, {"devices", slices}};
}

// dcgm-exporter's names and units: percent, MiB, W, °C, MHz.
Json dcgm_metrics(const SharedLibrary& nvml, NvmlDevice device) {
  const std::optional<NvmlUtilization> rates = utilization(nvml, device);
  const Memory bytes = memory(nvml, device);
  constexpr double kMiB = 1 << 20;
  std::optional<double> free_bytes;
  if (bytes.total_bytes) {
    free_bytes = *bytes.total_bytes - *bytes.used_bytes - bytes.reserved_bytes.value_or(0);
  }
  return {{"DCGM_FI_DEV_GPU_UTIL", rates ? Json(rates->gpu_percent) : Json(nullptr)},
          {"DCGM_FI_DEV_MEM_COPY_UTIL", rates ? Json(rates->memory_percent) : Json(nullptr)},
          {"DCGM_FI_DEV_FB_USED", or_null(in(bytes.used_bytes, kMiB))},
          {"DCGM_FI_DEV_FB_FREE", or_null(in(free_bytes, kMiB))},
          {"DCGM_FI_DEV_GPU_TEMP", or_null(device_sample(nvml, device).temperature_c)},
          {"DCGM_FI_DEV_POWER_USAGE", or_null(device_sample(nvml, device).power_w)},
          {"DCGM_FI_DEV_SM_CLOCK", or_null(clock_mhz(nvml, device, kNvmlClockSm))},
          {"DCGM_FI_DEV_MEM_CLOCK", or_null(clock_mhz(nvml, device, kNvmlClockMemory))}};
}

}  // namespace

std::string device_text(const SharedLibrary& nvml, const char* function, NvmlDevice device) {
  std::array<char, kNvmlTextBytes> text{};
  if (!call(nvml.get<NvmlDeviceText>(function), device, text.data(), kNvmlTextBytes)) return "";
  return text.data();
}

nlohmann::ordered_json device_block(const SharedLibrary& nvml, NvmlDevice device, unsigned index) {
  const Memory bytes = memory(nvml, device);
  int major = 0;
  int minor = 0;
  Json capability;
  if (call(nvml.get<NvmlDeviceCapability>("nvmlDeviceGetCudaComputeCapability"), device, &major,
           &minor)) {
    capability = fmt::format("{}.{}", major, minor);
  }
  return {{"name", text_or_null(device_text(nvml, "nvmlDeviceGetName", device))},
          {"total_memory_gb", or_null(in(bytes.total_bytes, 1e9))},
          {"memory_allocated_mb", or_null(in(bytes.used_bytes, 1e6))},
          {"memory_reserved_mb", or_null(in(bytes.reserved_bytes, 1e6))},
          {"cuda_compute_capability", capability},
          {"index", index},
          {"uuid", text_or_null(device_text(nvml, "nvmlDeviceGetUUID", device))},
          {"mig", mig_block(nvml, device)},
          {"metrics", dcgm_metrics(nvml, device)}};
}

GpuSample device_sample(const SharedLibrary& nvml, NvmlDevice device) {
  GpuSample out;
  const std::optional<NvmlUtilization> rates = utilization(nvml, device);
  if (rates) out.utilization_percent = rates->gpu_percent;
  out.memory_used_mb = in(memory(nvml, device).used_bytes, 1e6);
  out.power_w = number(nvml, "nvmlDeviceGetPowerUsage", device);  // milliwatts
  if (out.power_w) *out.power_w /= 1e3;
  unsigned celsius = 0;
  if (call(nvml.get<NvmlDeviceTemperature>("nvmlDeviceGetTemperature"), device, kNvmlSensorGpu,
           &celsius)) {
    out.temperature_c = celsius;
  }
  out.sm_clock_mhz = clock_mhz(nvml, device, kNvmlClockSm);
  return out;
}

bool has_uuid(const SharedLibrary& nvml, NvmlDevice device, const std::string& uuid) {
  // CUDA gives the bytes, NVML a prefix and their text.
  const auto matches = [&](NvmlDevice one) {
    return device_text(nvml, "nvmlDeviceGetUUID", one).ends_with(uuid);
  };
  if (matches(device)) return true;
  const std::vector<NvmlDevice> slices = mig_devices(nvml, device);
  return std::any_of(slices.begin(), slices.end(), matches);
}

}  // namespace ca4::producer
