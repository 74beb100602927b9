// One GPU, or a MIG slice of one, as NVML tells of it. Internal to the GPU monitor.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "producer/gpu.h"
#include "producer/nvidia_api.h"
#include "producer/shared_library.h"

namespace ca4::producer {

// nvmlDeviceGetName or nvmlDeviceGetUUID; empty when there is no answer.
std::string device_text(const SharedLibrary& nvml, const char* function, NvmlDevice device);

// name, total_memory_gb, memory_allocated_mb, memory_reserved_mb, cuda_compute_capability, index,
// uuid, mig, metrics; null for what has no answer.
nlohmann::ordered_json device_block(const SharedLibrary& nvml, NvmlDevice device, unsigned index);

GpuSample device_sample(const SharedLibrary& nvml, NvmlDevice device);

// Is `uuid` the device's, or that of a MIG slice of it?
bool has_uuid(const SharedLibrary& nvml, NvmlDevice device, const std::string& uuid);

}  // namespace ca4::producer
