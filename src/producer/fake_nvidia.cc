// Stands in for libnvidia-ml.so.1, libcuda.so.1 and libcudnn.so.9 in tests: two H200, the first of
// which CUDA uses, or what CA4_FAKE_NVIDIA says: "one", "second" (CUDA uses that), "mig" (a slice
// of the second), "none" (no GPU), "broken" (the driver does not start), "hot", "driver 450" and
// "old" (some questions have no answer).
#include <array>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "producer/nvidia_api.h"

namespace {

bool mode_is(std::string_view wanted) {
  const char* mode =
      std::getenv("CA4_FAKE_NVIDIA");  // NOLINT(concurrency-mt-unsafe): a test sets it
  return mode != nullptr && mode == wanted;
}

constexpr int kNotSupported = 3;

// Two GPUs and a slice; their addresses are the handles.
constexpr std::array<unsigned, 3> kDevices = {0, 1, 2};

NvmlDevice handle(unsigned number) {
  return reinterpret_cast<NvmlDevice>(const_cast<unsigned*>(&kDevices.at(number)));
}

unsigned number_of(NvmlDevice device) {
  return *reinterpret_cast<const unsigned*>(device);
}

bool is_slice(NvmlDevice device) {
  return number_of(device) == 2;
}

int put(const char* value, char* text, unsigned length) {
  if (std::strlen(value) + 1 > length) return 7;  // NVML_ERROR_INSUFFICIENT_SIZE
  std::strcpy(text, value);
  return 0;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  return mode_is("broken") ? 9 : 0;
}
int nvmlShutdown() {
  return 0;
}
const char* nvmlErrorString(int result) {
  return result == 9 ? "Driver Not Loaded" : "?";
}

int nvmlSystemGetDriverVersion(char* text, unsigned length) {
  return put("550.54.15", text, length);
}

int nvmlSystemGetCudaDriverVersion_v2(int* version) {
  *version = 12040;
  return 0;
}

int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = mode_is("none") ? 0 : mode_is("one") ? 1 : 2;
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, NvmlDevice* device) {
  *device = handle(index);
  return 0;
}

int nvmlDeviceGetName(NvmlDevice device, char* text, unsigned length) {
  return put(is_slice(device) ? "NVIDIA H200 MIG 1g.18gb" : "NVIDIA H200", text, length);
}

int nvmlDeviceGetUUID(NvmlDevice device, char* text, unsigned length) {
  if (is_slice(device)) return put("MIG-00000000-0000-0000-0000-0000000000ff", text, length);
  return put(number_of(device) == 0 ? "GPU-00000000-0000-0000-0000-000000000001"
                                    : "GPU-00000000-0000-0000-0000-000000000002",
             text, length);
}

int nvmlDeviceGetMemoryInfo(NvmlDevice, NvmlMemory* memory) {
  if (mode_is("old")) return kNotSupported;
  *memory = {150'000'000'000, 149'500'000'000, 500'000'000};
  return 0;
}

int nvmlDeviceGetMemoryInfo_v2(NvmlDevice device, NvmlMemoryV2* memory) {
  if (mode_is("old") || mode_is("driver 450") || memory->version != kNvmlMemoryV2) return 25;
  *memory = {kNvmlMemoryV2, 150'000'000'000, 600'000'000, 148'900'000'000, 500'000'000};
  if (is_slice(device)) memory->total_bytes = 18'000'000'000;
  return 0;
}

int nvmlDeviceGetCudaComputeCapability(NvmlDevice, int* major, int* minor) {
  *major = 9;
  *minor = 0;
  return 0;
}

int nvmlDeviceGetUtilizationRates(NvmlDevice device, NvmlUtilization* rates) {
  if (mode_is("old")) return kNotSupported;
  *rates = {97 - number_of(device), 41};
  return 0;
}

int nvmlDeviceGetTemperature(NvmlDevice, int sensor, unsigned* celsius) {
  if (sensor != kNvmlSensorGpu) return kNotSupported;
  *celsius = mode_is("hot") ? 91 : 61;
  return 0;
}

int nvmlDeviceGetPowerUsage(NvmlDevice, unsigned* milliwatts) {
  *milliwatts = 412'500;
  return 0;
}

int nvmlDeviceGetClockInfo(NvmlDevice, int type, unsigned* mhz) {
  *mhz = type == kNvmlClockSm ? 1980 : 3201;
  return 0;
}

int nvmlDeviceGetMigMode(NvmlDevice, unsigned* current, unsigned* pending) {
  if (mode_is("old")) return kNotSupported;
  *current = *pending = mode_is("mig") ? 1 : 0;
  return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(NvmlDevice, unsigned* count) {
  *count = mode_is("mig") ? 7 : 0;
  return 0;
}

// One slice of the second GPU, in the third place.
int nvmlDeviceGetMigDeviceHandleByIndex(NvmlDevice device, unsigned index, NvmlDevice* mig) {
  constexpr int kNotFound = 6;
  if (number_of(device) != 1 || index != 2) return kNotFound;
  *mig = handle(2);
  return 0;
}

int cuInit(unsigned) {
  return mode_is("old") || mode_is("none") ? 100 : 0;
}

int cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}

int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}

// "second": as with CUDA_VISIBLE_DEVICES=1; "mig": the slice.
int cuDeviceGetUuid_v2(unsigned char* bytes, int) {
  std::memset(bytes, 0, 16);
  bytes[15] = mode_is("mig") ? 0xff : mode_is("second") ? 2 : 1;
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == kCudaAttributeMultiProcessors ? 132 : -1;
  return 0;
}

int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned flags) {
  return device == 0 && flags == kCudaBlockingSync ? 0 : 1;
}

unsigned long cudnnGetVersion() {
  return 90'100;
}
}
