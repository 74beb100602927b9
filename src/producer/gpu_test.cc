#include "producer/gpu.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using Json = nlohmann::json;

GpuProbe fake() {
  GpuProbe probe;
  probe.nvml_library = probe.cuda_library = CA4_FAKE_NVIDIA;
  probe.cudnn_libraries = {"libabsent.so.9", CA4_FAKE_NVIDIA};
  return probe;
}

Json probe_as(const char* mode, const GpuProbe& probe = fake()) {
  setenv("CA4_FAKE_NVIDIA", mode, 1);
  Json block = Json::parse(GpuMonitor(probe).hardware_json());
  unsetenv("CA4_FAKE_NVIDIA");
  return block;
}

TEST(GpuHardware, FieldsAreTheContracts) {
  const Json block = probe_as("");
  EXPECT_EQ(block["available"], true);
  EXPECT_EQ(block["device"], "cuda");
  EXPECT_EQ(block["name"], "NVIDIA H200");
  EXPECT_EQ(block["total_memory_gb"], 150.0);
  EXPECT_EQ(block["memory_allocated_mb"], 500.0);
  EXPECT_EQ(block["multi_processor_count"], 132);
  EXPECT_EQ(block["cuda_compute_capability"], "9.0");
  EXPECT_EQ(block["cuda_version"], "12.4");
  EXPECT_EQ(block["memory_reserved_mb"], 600.0);
  EXPECT_EQ(block["cudnn_version"], 90100);
  EXPECT_TRUE(block["pytorch_version"].is_null());
  EXPECT_EQ(block["driver_version"], "550.54.15");
  EXPECT_EQ(block["uuid"], "GPU-00000000-0000-0000-0000-000000000001");
  EXPECT_EQ(block["mig"], Json::parse(R"({"enabled":false,"devices":[]})"));
}

TEST(GpuHardware, MetricsHaveDcgmExportersNamesAndUnits) {
  EXPECT_EQ(probe_as("")["metrics"], Json::parse(R"({
    "DCGM_FI_DEV_GPU_UTIL": 97, "DCGM_FI_DEV_MEM_COPY_UTIL": 41,
    "DCGM_FI_DEV_FB_USED": 476.837158203125, "DCGM_FI_DEV_FB_FREE": 142002.10571289063,
    "DCGM_FI_DEV_GPU_TEMP": 61.0, "DCGM_FI_DEV_POWER_USAGE": 412.5,
    "DCGM_FI_DEV_SM_CLOCK": 1980.0, "DCGM_FI_DEV_MEM_CLOCK": 3201.0})"));
}

TEST(GpuHardware, OfSeveralEachIsListedAndTheOneCudaUsesIsTold) {
  const Json block = probe_as("second");
  EXPECT_EQ(block["device_count"], 2);
  EXPECT_EQ(block["index"], 1);
  EXPECT_EQ(block["uuid"], "GPU-00000000-0000-0000-0000-000000000002");
  ASSERT_EQ(block["devices"].size(), 2U);
  EXPECT_EQ(block["devices"][0]["metrics"]["DCGM_FI_DEV_GPU_UTIL"], 97);
  EXPECT_EQ(block["devices"][1]["metrics"]["DCGM_FI_DEV_GPU_UTIL"], 96);
  const Json one = probe_as("one");
  EXPECT_EQ(one["device_count"], 1);
  EXPECT_FALSE(one.contains("devices"));
}

TEST(GpuHardware, MigSliceLeadsToItsGpu) {
  const Json block = probe_as("mig");
  EXPECT_EQ(block["index"], 1);
  EXPECT_EQ(block["mig"]["enabled"], true);
  ASSERT_EQ(block["mig"]["devices"].size(), 1U);
  const Json& slice = block["mig"]["devices"][0];
  EXPECT_EQ(slice["name"], "NVIDIA H200 MIG 1g.18gb");
  EXPECT_EQ(slice["uuid"], "MIG-00000000-0000-0000-0000-0000000000ff");
  EXPECT_EQ(slice["total_memory_gb"], 18.0);
}

TEST(GpuHardware, DriverFromBeforeTheSecondMemoryQuestion) {
  const Json block = probe_as("driver 450");
  EXPECT_EQ(block["memory_allocated_mb"], 500.0);
  EXPECT_TRUE(block["memory_reserved_mb"].is_null());
}

TEST(GpuHardware, CudnnOfAPythonPackageIsFoundToo) {
  const TempDir folder;
  const std::string packages = folder / "lib/python3.12/site-packages";
  std::filesystem::create_directories(packages + "/nvidia/cudnn/lib");
  std::filesystem::copy_file(CA4_FAKE_NVIDIA, packages + "/nvidia/cudnn/lib/libcudnn.so.9");
  GpuProbe probe = fake();
  probe.cudnn_libraries = {"libabsent.so.9"};
  setenv("VIRTUAL_ENV", (folder / ".").c_str(), 1);
  EXPECT_EQ(probe_as("", probe)["cudnn_version"], 90100);
  unsetenv("VIRTUAL_ENV");
}

TEST(GpuHardware, WhatTheCallerKnowsIsPutOver) {
  GpuProbe probe = fake();
  probe.known_json = R"({"pytorch_version": "2.15.0", "memory_allocated_mb": 12.5})";
  const Json block = probe_as("", probe);
  EXPECT_EQ(block["pytorch_version"], "2.15.0");
  EXPECT_EQ(block["memory_allocated_mb"], 12.5);
  EXPECT_FALSE(probe_as("none", probe).contains("pytorch_version"));
}

TEST(GpuHardware, SampleIsOfTheGpuThatIsUsed) {
  setenv("CA4_FAKE_NVIDIA", "second", 1);
  const GpuSample sample = GpuMonitor(fake()).sample();
  unsetenv("CA4_FAKE_NVIDIA");
  EXPECT_EQ(sample.utilization_percent, 96);
  EXPECT_EQ(sample.memory_used_mb, 500);
  EXPECT_EQ(sample.power_w, 412.5);
  EXPECT_EQ(sample.temperature_c, 61);
  EXPECT_EQ(sample.sm_clock_mhz, 1980);
}

TEST(GpuHardware, SampleWithoutAGpuIsEmpty) {
  GpuProbe probe = fake();
  probe.nvml_library = "libabsent.so.1";
  EXPECT_FALSE(GpuMonitor(probe).sample().utilization_percent);
}

TEST(GpuHardware, CudaDeviceIsThereOnlyWhenTheDriverSaysSo) {
  EXPECT_TRUE(has_cuda_device(fake()));
  setenv("CA4_FAKE_NVIDIA", "none", 1);
  EXPECT_FALSE(has_cuda_device(fake()));
  unsetenv("CA4_FAKE_NVIDIA");
  GpuProbe probe;
  probe.cuda_library = "libabsent.so.1";
  EXPECT_FALSE(has_cuda_device(probe));
}

TEST(GpuHardware, WaitingThreadsSleepWhereTheDriverTakesTheWish) {
  EXPECT_TRUE(sleep_while_gpu_works(fake()));
  setenv("CA4_FAKE_NVIDIA", "none", 1);
  EXPECT_FALSE(sleep_while_gpu_works(fake()));
  unsetenv("CA4_FAKE_NVIDIA");
}

TEST(GpuHardware, WhatADriverDoesNotAnswerIsNull) {
  const Json block = probe_as("old");
  EXPECT_EQ(block["available"], true);
  EXPECT_TRUE(block["total_memory_gb"].is_null());
  EXPECT_TRUE(block["memory_allocated_mb"].is_null());
  EXPECT_TRUE(block["multi_processor_count"].is_null());
  EXPECT_TRUE(block["mig"].is_null());
  EXPECT_TRUE(block["metrics"]["DCGM_FI_DEV_GPU_UTIL"].is_null());
  EXPECT_EQ(block["name"], "NVIDIA H200");
}

TEST(GpuHardware, DriverWithoutGpuIsTheCpuBlock) {
  const Json block = probe_as("none");
  EXPECT_EQ(block["available"], false);
  EXPECT_EQ(block["device"], "cpu");
  EXPECT_EQ(block["reason"], "the NVIDIA driver sees no GPU");
  EXPECT_GT(block["cpu_cores"], 0);
}

TEST(GpuHardware, DriverThatDoesNotStartSaysWhy) {
  EXPECT_EQ(probe_as("broken")["reason"], "the NVIDIA driver does not start: Driver Not Loaded");
}

TEST(GpuHardware, WithoutDriverNamesTheLibraryAndTheCpu) {
  const TempDir folder;
  spill(folder / "cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\n");
  GpuProbe probe;
  probe.nvml_library = "libabsent.so.1";
  probe.cpu_info_file = folder / "cpuinfo";
  const Json block = Json::parse(GpuMonitor(probe).hardware_json());
  EXPECT_EQ(block["available"], false);
  EXPECT_EQ(block["reason"], "no NVIDIA driver: libabsent.so.1 cannot be opened");
  EXPECT_EQ(block["cpu_model"], "Some CPU @ 3 GHz");
}

TEST(GpuHardware, LibraryThatIsNotNvmlIsNoGpu) {
  GpuProbe probe;
  probe.nvml_library = "libc.so.6";
  probe.cpu_info_file = "/nonexistent";
  const Json block = Json::parse(GpuMonitor(probe).hardware_json());
  EXPECT_EQ(block["reason"], "libc.so.6 is not NVML");
  EXPECT_EQ(block["cpu_model"], "unknown");
}

}  // namespace
}  // namespace ca4::producer
