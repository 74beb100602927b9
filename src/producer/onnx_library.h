// Finds and opens ONNX Runtime's shared library while the program runs: it comes with Python
// packages (CPU or GPU builds) more often than with the system, and what does no inference must not
// need it.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

struct OrtApi;

namespace ca4::producer {

struct OnnxLibrary {
  const OrtApi* api = nullptr;
  std::string path;
  std::string version;  // "1.32.0"
};

// Where the library is looked for when no path is given, in this order: .deps/onnxruntime/lib of
// the project the program was built in, ../lib of the program, the Python packages `onnxruntime`
// and `onnxruntime-gpu` (of the active virtual environment, the user, the machine), the system.
std::vector<std::string> onnx_candidates();

// Opens `given`, or else the first of onnx_candidates() that can be. kNotFound lists what was tried
// and why each failed; kInvalidArgument when a library is too old. The library stays loaded until
// the process ends: ONNX Runtime keeps threads and globals that do not survive unloading.
Result<OnnxLibrary> open_onnx_library(const std::string& given);

}  // namespace ca4::producer
