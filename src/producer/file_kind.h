// What people give for a model that is none.
#pragma once

#include <string>
#include <string_view>

namespace ca4::producer {

// What a file that begins with these bytes is instead of an ONNX model, and what to do; empty when
// that can't be told. Pure.
std::string_view kind_of_no_model(std::string_view begin);

// The same of a file.
std::string_view kind_of_no_model_file(const std::string& path);

}  // namespace ca4::producer
