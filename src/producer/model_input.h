// What the shape and the metadata of a model say about the pictures it takes and the features it
// gives. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "producer/preprocess.h"

namespace ca4::producer {

struct ModelInput {
  Preprocess preprocess;
  size_t batch = 0;  // 0: any
};

// The value of a metadata key, empty when there is none.
using Metadata = std::function<std::string(const std::string& key)>;

// Reads the input's shape (-1: free) and the ca4.* keys; see model.h. kInvalidArgument says what
// does not fit.
Result<ModelInput> model_input(const std::vector<int64_t>& shape, const Metadata& metadata);

// Appends the first `count` rows of an output (N, C), or of (N, C, H, W) averaged over H and W,
// that a run of `rows` images gave. kInvalidArgument, and nothing is appended, when N is not
// `rows`: then they are not the images'.
Status append_pooled(const float* data, const std::vector<int64_t>& shape, size_t rows,
                     size_t count, std::vector<float>& out);

}  // namespace ca4::producer
