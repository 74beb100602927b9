#include "producer/onnx_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <onnxruntime_c_api.h>

#include <filesystem>
#include <optional>
#include <system_error>

#include "producer/python_packages.h"

namespace ca4::producer {
namespace {

namespace fs = std::filesystem;

// `path` names a file unless it is a bare library name, which the dynamic linker looks up.
Result<OnnxLibrary> open_one(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return Status(Code::kNotFound,
                  dlerror());  // NOLINT(concurrency-mt-unsafe): glibc's is per thread
  }
  using GetBase = const OrtApiBase* (*)();
  const auto get_base = reinterpret_cast<GetBase>(dlsym(handle, "OrtGetApiBase"));
  if (get_base == nullptr) {
    dlclose(handle);
    return Status(Code::kNotFound, fmt::format("{} is not ONNX Runtime", path));
  }
  OnnxLibrary library{.path = path, .version = get_base()->GetVersionString()};
  library.api = get_base()->GetApi(ORT_API_VERSION);
  if (library.api == nullptr) {
    return Status(Code::kInvalidArgument, fmt::format("{} is version {}; 1.{} or newer is needed",
                                                      path, library.version, ORT_API_VERSION));
  }
  return library;
}

}  // namespace

std::vector<std::string> onnx_candidates() {
  std::vector<std::string> out;
  std::error_code ignored;
  fs::path folder = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  out.push_back((folder / "../lib/libonnxruntime.so").lexically_normal().string());
  // The program is in build/PRESET, its tests are two folders deeper.
  for (int level = 0; level <= 4 && !folder.empty(); ++level, folder = folder.parent_path()) {
    const fs::path library = folder / ".deps/onnxruntime/lib/libonnxruntime.so";
    if (fs::exists(library, ignored)) out.insert(out.begin(), library.string());
  }
  for (const std::string& packages : python_package_folders()) {
    for (std::string& path : matching_files(packages + "/onnxruntime/capi/libonnxruntime.so.*")) {
      out.push_back(std::move(path));
    }
  }
  out.emplace_back("libonnxruntime.so.1");
  out.emplace_back("libonnxruntime.so");
  return out;
}

Result<OnnxLibrary> open_onnx_library(const std::string& given) {
  if (!given.empty()) {
    // The dynamic linker looks for a bare name in its own folders only.
    std::error_code ignored;
    const bool here = given.find('/') == std::string::npos && fs::exists(given, ignored);
    return open_one(here ? "./" + given : given);
  }
  std::string tried;
  for (const std::string& candidate : onnx_candidates()) {
    Result<OnnxLibrary> library = open_one(candidate);
    if (library) return library;
    tried += "\n  " + library.status().message();
  }
  return Status(Code::kNotFound,
                "ONNX Runtime's shared library was not found; `pip install onnxruntime` brings it, "
                "or name it with --ort. Tried:" +
                    tried);
}

}  // namespace ca4::producer
