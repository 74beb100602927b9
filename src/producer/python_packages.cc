#include "producer/python_packages.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <glob.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <system_error>

namespace ca4::producer {
namespace {

namespace fs = std::filesystem;

// Each is opened after those that it needs. NVRTC, cuFFT and cuDNN are opened by name while a model
// runs.
constexpr const char* kNvidiaLibraries[] = {"cudart", "nvrtc",  "nvJitLink", "cublasLt",
                                            "cublas", "curand", "cufft",     "cudnn"};

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets one
  return value == nullptr ? "" : value;
}

// .../site-packages/onnxruntime/capi/libonnxruntime.so.1.31.1; empty for any other place.
std::string package_folder_of(const std::string& ort) {
  const fs::path capi = fs::path(ort).parent_path();
  const bool is_package =
      capi.filename() == "capi" && capi.parent_path().filename() == "onnxruntime";
  return is_package ? capi.parent_path().parent_path().string() : "";
}

}  // namespace

std::vector<std::string> matching_files(const std::string& pattern) {
  std::vector<std::string> out;
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
  return out;
}

std::vector<std::string> python_package_folders() {
  std::vector<std::string> patterns;
  if (const std::string venv = environment("VIRTUAL_ENV"); !venv.empty()) {
    patterns.push_back(venv + "/lib/python3*/site-packages");
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    patterns.push_back(home + "/.local/lib/python3*/site-packages");
  }
  patterns.insert(patterns.end(),
                  {"/usr/local/lib/python3*/dist-packages", "/usr/local/lib/python3*/site-packages",
                   "/usr/lib/python3*/dist-packages"});
  std::vector<std::string> out;
  for (const std::string& pattern : patterns) {
    for (std::string& folder : matching_files(pattern)) out.push_back(std::move(folder));
  }
  return out;
}

std::vector<std::string> nvidia_packages(const std::string& ort) {
  std::vector<std::string> folders = python_package_folders();
  if (std::string own = package_folder_of(ort); !own.empty()) {
    folders.insert(folders.begin(), std::move(own));
  }
  std::vector<std::string> out;
  for (const std::string name : kNvidiaLibraries) {
    // libcublas.so.12 and libcublas.so.13 serve different builds of ONNX Runtime: both, once each.
    std::set<std::string> seen;
    for (const std::string& folder : folders) {
      // nvidia/cublas/lib of CUDA 12, nvidia/cu13/lib since.
      const std::string pattern = fmt::format("{}/nvidia/*/lib/lib{}.so.[0-9]*", folder, name);
      for (std::string& path : matching_files(pattern)) {
        if (seen.insert(fs::path(path).filename()).second) out.push_back(std::move(path));
      }
    }
  }
  return out;
}

void preload_nvidia_packages(const std::string& ort) {
  std::error_code ignored;
  const fs::path provider = fs::path(ort).parent_path() / "libonnxruntime_providers_cuda.so";
  if (!fs::exists(provider, ignored)) return;
  // What can't be opened is missed, and named, by the provider, if it needs it.
  for (const std::string& path : nvidia_packages(ort)) dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
}

}  // namespace ca4::producer
