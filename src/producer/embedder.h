// What turns prepared pixels into embeddings, and what it says about itself. The pipeline knows no
// more of a model than this.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "producer/preprocess.h"

namespace ca4::producer {

struct ModelInfo {
  std::string name;    // "efficientnet_lite0"
  std::string sha256;  // of the model's file and those of its weights, hex
  std::string output;  // the output that is taken
  size_t dim = 0;      // floats of an embedding
  size_t batch = 0;    // images a run must have; 0: any number
  Preprocess preprocess;
  std::string runtime;         // "onnxruntime 1.32.0"
  std::string device = "cpu";  // or "cuda:0"
  int threads = 0;             // that one run uses
  size_t lanes = 1;            // runs at once that keep the processor busy without a gap
};

class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual const ModelInfo& info() const = 0;
  // A tensor an image in, as info().preprocess makes them; their embeddings of info().dim floats
  // one after the other out. Any number above 0; info().batch is only what runs without waste.
  // Blocks for the whole computation. Any thread; callers at once beyond info().lanes gain nothing.
  virtual Result<std::vector<float>> run(std::span<const Tensor> images) = 0;
};

}  // namespace ca4::producer
