// What this folder's tests share.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/test_dir.h"
#include "producer/preprocess.h"

namespace ca4::producer {

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.is_open()) << path << " is missing; scripts/setup.sh demo makes it";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void spill(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Pictures and models that scripts/setup-images.sh and scripts/setup-model.sh made.
inline std::string deps(const std::string& name) {
  return std::string(CA4_DEPS_DIR) + "/" + name;
}

inline std::vector<float> numbers_of(const Tensor& tensor) {
  std::vector<float> out(tensor.size() / sizeof(float));
  std::memcpy(out.data(), tensor.data(), tensor.size());
  return out;
}

}  // namespace ca4::producer
