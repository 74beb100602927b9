// What the machine computes with: the `gpu_hardware` block of the wire contract, asked from the
// NVIDIA driver's libraries, which are opened while the program runs.
#pragma once

#include <string>

namespace ca4::producer {

struct GpuProbe {
  std::string nvml_library = "libnvidia-ml.so.1";
  std::string cuda_library = "libcuda.so.1";
  std::string cpu_info_file = "/proc/cpuinfo";
};

// A JSON object. With a GPU (the first, when there are several): available, device, name,
// total_memory_gb, memory_allocated_mb (in use on the device by all processes),
// multi_processor_count, cuda_compute_capability, cuda_version, as the contract names them; a value
// that can't be had is null. GB and MB are 10^9 and 10^6 bytes. Ours beside them: device_count,
// driver_version, uuid. Without a GPU: available false, device "cpu", reason. Always cpu_model and
// cpu_cores.
std::string gpu_hardware_json(const GpuProbe& probe = {});

}  // namespace ca4::producer
