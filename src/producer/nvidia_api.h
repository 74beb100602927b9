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

// nvmlMemory_v2_t; `version` is the structure's size with its number, 2, in the highest byte.
struct NvmlMemoryV2 {
  unsigned version;
  unsigned long long total_bytes;
  unsigned long long reserved_bytes;  // by driver and firmware
  unsigned long long free_bytes;
  unsigned long long used_bytes;
};

struct NvmlUtilization {
  unsigned gpu_percent;     // of the time, in which a kernel ran
  unsigned memory_percent;  // of the time, in which memory was read or written
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
using NvmlDeviceMemoryV2 = int(NvmlDevice, NvmlMemoryV2* memory);     // nvmlDeviceGetMemoryInfo_v2
using NvmlDeviceCapability = int(NvmlDevice, int* major,
                                 int* minor);  // nvmlDeviceGetCudaComputeCapability
using NvmlDeviceUtilization = int(NvmlDevice,
                                  NvmlUtilization*);  // nvmlDeviceGetUtilizationRates
using NvmlDeviceTemperature = int(NvmlDevice, int sensor,
                                  unsigned* celsius);              // nvmlDeviceGetTemperature
using NvmlDeviceNumber = int(NvmlDevice, unsigned* value);         // …PowerUsage and others
using NvmlDeviceClock = int(NvmlDevice, int type, unsigned* mhz);  // nvmlDeviceGetClockInfo
using NvmlDeviceMigMode = int(NvmlDevice, unsigned* current, unsigned* pending);  // …GetMigMode
using NvmlMigHandle = int(NvmlDevice, unsigned index,
                          NvmlDevice* mig);  // nvmlDeviceGetMigDeviceHandleByIndex

using CudaInit = int(unsigned flags);                                    // cuInit
using CudaDeviceCount = int(int* count);                                 // cuDeviceGetCount
using CudaDeviceUuid = int(unsigned char* sixteen_bytes, int device);    // cuDeviceGetUuid_v2
using CudaDeviceGet = int(int* device, int ordinal);                     // cuDeviceGet
using CudaDeviceAttribute = int(int* value, int attribute, int device);  // cuDeviceGetAttribute
using CudaPrimaryFlags = int(int device, unsigned flags);  // cuDevicePrimaryCtxSetFlags_v2

using CudnnVersion = unsigned long();  // cudnnGetVersion
}

inline constexpr int kCudaAttributeMultiProcessors = 16;
inline constexpr unsigned kCudaBlockingSync = 4;  // CU_CTX_SCHED_BLOCKING_SYNC
inline constexpr int kNvmlSensorGpu = 0;
inline constexpr int kNvmlClockSm = 1;
inline constexpr int kNvmlClockMemory = 2;
inline constexpr unsigned kNvmlMemoryV2 = sizeof(NvmlMemoryV2) | (2U << 24U);
// NVML_DEVICE_NAME_V2_BUFFER_SIZE and NVML_DEVICE_UUID_V2_BUFFER_SIZE, the longest texts here.
inline constexpr unsigned kNvmlTextBytes = 96;
