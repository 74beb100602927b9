#include "producer/onnx_library.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <glob.h>
#include <onnxruntime_c_api.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

namespace ca4::producer {
namespace {

namespace fs = std::filesystem;

void add_matches(const std::string& pattern, std::vector<std::string>& out) {
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) out.emplace_back(found.gl_pathv[i]);
  }
  globfree(&found);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nothing here sets one
  return value == nullptr ? "" : value;
}

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
  const std::string package = "/onnxruntime/capi/libonnxruntime.so.*";
  if (const std::string venv = environment("VIRTUAL_ENV"); !venv.empty()) {
    add_matches(venv + "/lib/python3*/site-packages" + package, out);
  }
  if (const std::string home = environment("HOME"); !home.empty()) {
    add_matches(home + "/.local/lib/python3*/site-packages" + package, out);
  }
  add_matches("/usr/local/lib/python3*/dist-packages" + package, out);
  add_matches("/usr/local/lib/python3*/site-packages" + package, out);
  add_matches("/usr/lib/python3*/dist-packages" + package, out);
  out.emplace_back("libonnxruntime.so.1");
  out.emplace_back("libonnxruntime.so");
  return out;
}

Result<OnnxLibrary> open_onnx_library(const std::string& given) {
  if (!given.empty()) return open_one(given);
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
