// What the machine computes with: the `gpu_hardware` block of the wire contract, asked from the
// NVIDIA driver's libraries, which are opened while the program runs.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace ca4::producer {

struct GpuProbe {
  std::string nvml_library = "libnvidia-ml.so.1";
  std::string cuda_library = "libcuda.so.1";
  // The first that can be opened tells cudnn_version; after them that of NVIDIA's Python packages.
  std::vector<std::string> cudnn_libraries{"libcudnn.so.9", "libcudnn.so.8"};
  std::string cpu_info_file = "/proc/cpuinfo";
  // A JSON object whose members are put over those found here: what only the caller knows, as
  // pytorch_version.
  std::string known_json = "{}";
};

// What changes while a GPU works, of one moment; nothing where the driver does not say.
struct GpuSample {
  std::optional<double> utilization_percent;  // of the last second or less, a kernel ran
  std::optional<double> memory_used_mb;       // 10^6 bytes, by all processes
  std::optional<double> power_w;
  std::optional<double> temperature_c;
  std::optional<double> sm_clock_mhz;
};

// The machine's GPUs, with the driver's libraries kept open so that asking again is cheap.
// Thread-safe.
class GpuMonitor {
 public:
  explicit GpuMonitor(GpuProbe probe = {});
  ~GpuMonitor();
  GpuMonitor(const GpuMonitor&) = delete;
  GpuMonitor& operator=(const GpuMonitor&) = delete;

  // A JSON object. With a GPU: available, device, name, total_memory_gb, memory_allocated_mb (in
  // use on the device by all processes), memory_reserved_mb (by driver and firmware),
  // multi_processor_count, cuda_compute_capability, cuda_version (the newest the driver runs),
  // cudnn_version, pytorch_version, as the contract names them; a value that can't be had is null.
  // GB and MB are 10^9 and 10^6 bytes. Of several GPUs it is the one that CUDA gives this process
  // as its first. Ours beside them: index, uuid, driver_version, device_count, mig (enabled,
  // devices), metrics (of now, under the names and in the units of dcgm-exporter) and, of several
  // GPUs, devices with a part of this for each. Without a GPU: available false, device "cpu",
  // reason. Always cpu_model and cpu_cores.
  std::string hardware_json() const;

  // Of the GPU that hardware_json() tells of; all empty without one.
  GpuSample sample() const;

 private:
  struct Driver;
  const GpuProbe probe_;
  mutable std::mutex mutex_;
  const std::unique_ptr<const Driver> driver_;
};

// Does the CUDA driver give this process a GPU?
bool has_cuda_device(const GpuProbe& probe = {});

// Threads of this process that wait for its first GPU sleep from now on, where CUDA by default lets
// them spin: the decoders want their cores. False when the driver refuses. Call before the GPU is
// first used. The driver's library stays open, that of the first call.
bool sleep_while_gpu_works(const GpuProbe& probe = {});

}  // namespace ca4::producer
