#include "producer/gpu.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "producer/test_support.h"

namespace ca4::producer {
namespace {

using Json = nlohmann::json;

const GpuProbe kFake{CA4_FAKE_NVIDIA, CA4_FAKE_NVIDIA, "/proc/cpuinfo"};

Json probe_as(const char* mode) {
  setenv("CA4_FAKE_NVIDIA", mode, 1);
  Json block = Json::parse(gpu_hardware_json(kFake));
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
  EXPECT_EQ(block["driver_version"], "550.54.15");
  EXPECT_EQ(block["device_count"], 2);
}

TEST(GpuHardware, WhatADriverDoesNotAnswerIsNull) {
  const Json block = probe_as("old");
  EXPECT_EQ(block["available"], true);
  EXPECT_TRUE(block["total_memory_gb"].is_null());
  EXPECT_TRUE(block["memory_allocated_mb"].is_null());
  EXPECT_TRUE(block["multi_processor_count"].is_null());
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
  const Json block = Json::parse(gpu_hardware_json({"libabsent.so.1", "", folder / "cpuinfo"}));
  EXPECT_EQ(block["available"], false);
  EXPECT_EQ(block["reason"], "no NVIDIA driver: libabsent.so.1 cannot be opened");
  EXPECT_EQ(block["cpu_model"], "Some CPU @ 3 GHz");
}

TEST(GpuHardware, LibraryThatIsNotNvmlIsNoGpu) {
  const Json block = Json::parse(gpu_hardware_json({"libc.so.6", "", "/nonexistent"}));
  EXPECT_EQ(block["reason"], "libc.so.6 is not NVML");
  EXPECT_EQ(block["cpu_model"], "unknown");
}

}  // namespace
}  // namespace ca4::producer
