// The few declarations of NVIDIA's NVML and CUDA driver interfaces that are used here, so that
// building needs none of NVIDIA's headers. Both are stable C interfaces: names and layouts as in
// NVML's "API Reference Guide" and the "CUDA Driver API" manual.
#pragma once

extern "C" {

using NvmlDevice = struct NvmlDeviceOpaque*;

struct NvmlMemory {
  unsigned long long total_bytes;
  unsigned long long free_bytes;
  unsigned long long used_bytes;
};

// nvmlReturn_t and CUresult: 0 is success.
using NvmlInit = int();                                      // nvmlInit_v2
using NvmlShutdown = int();                                  // nvmlShutdown
using NvmlErrorString = const char*(int result);             // nvmlErrorString
using NvmlDriverVersion = int(char* text, unsigned length);  // nvmlSystemGetDriverVersion
using NvmlCudaVersion = int(int* version);                   // nvmlSystemGetCudaDriverVersion_v2
using NvmlDeviceCount = int(unsigned* count);                // nvmlDeviceGetCount_v2
using NvmlDeviceHandle = int(unsigned index, NvmlDevice* device);  // nvmlDeviceGetHandleByIndex_v2
using NvmlDeviceText = int(NvmlDevice, char* text, unsigned length);  // nvmlDeviceGetName, …GetUUID
using NvmlDeviceMemory = int(NvmlDevice, NvmlMemory* memory);         // nvmlDeviceGetMemoryInfo
using NvmlDeviceCapability = int(NvmlDevice, int* major,
                                 int* minor);  // nvmlDeviceGetCudaComputeCapability

using CudaInit = int(unsigned flags);                                    // cuInit
using CudaDeviceGet = int(int* device, int ordinal);                     // cuDeviceGet
using CudaDeviceAttribute = int(int* value, int attribute, int device);  // cuDeviceGetAttribute
}

inline constexpr int kCudaAttributeMultiProcessors = 16;
// NVML_DEVICE_NAME_V2_BUFFER_SIZE and NVML_DEVICE_UUID_V2_BUFFER_SIZE, the longest texts here.
inline constexpr unsigned kNvmlTextBytes = 96;
