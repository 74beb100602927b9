// Stands in for libnvidia-ml.so.1 and libcuda.so.1 in tests: one H200, or what CA4_FAKE_NVIDIA
// says: "none" (no GPU), "broken" (the driver does not start), "old" (some questions have no
// answer).
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
  *count = mode_is("none") ? 0 : 2;
  return 0;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned, NvmlDevice* device) {
  static int token;
  *device = reinterpret_cast<NvmlDevice>(&token);
  return 0;
}

int nvmlDeviceGetName(NvmlDevice, char* text, unsigned length) {
  return put("NVIDIA H200", text, length);
}

int nvmlDeviceGetUUID(NvmlDevice, char* text, unsigned length) {
  return put("GPU-00000000-0000-0000-0000-000000000001", text, length);
}

int nvmlDeviceGetMemoryInfo(NvmlDevice, NvmlMemory* memory) {
  if (mode_is("old")) return kNotSupported;
  *memory = {150'000'000'000, 149'500'000'000, 500'000'000};
  return 0;
}

int nvmlDeviceGetCudaComputeCapability(NvmlDevice, int* major, int* minor) {
  *major = 9;
  *minor = 0;
  return 0;
}

int cuInit(unsigned) {
  return mode_is("old") ? 100 : 0;
}

int cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == kCudaAttributeMultiProcessors ? 132 : -1;
  return 0;
}
}
