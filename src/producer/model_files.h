// The files that an ONNX model is made of.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::producer {

// SHA-256, lower-case hex, of all that decides what the model in `path` computes: of the file, and
// where its weights lie in other files ("external data": as torch.onnx.export does it since it has
// dynamo, and everybody for more than 2 GiB) of that and of theirs. kNotFound, kIo or kTooLarge (no
// ONNX file has 2 GiB) with the path.
Result<std::string> model_sha256_hex(const std::string& path);

// The names of other files that the bytes of an ONNX file refer to, relative to its folder. Of
// bytes that are none: nothing, or what could be read until they went wrong. Pure.
std::set<std::string> external_files(std::string_view model);

}  // namespace ca4::producer
