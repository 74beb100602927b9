// Embeddings of single images, for search by example.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::producer {
class Embedder;
}

namespace ca4::cli {

struct EmbedOptions {
  std::string model_path;  // ONNX file
  std::string ort_path;    // ONNX Runtime's library; empty: looked for where `produce` looks
  std::string output;      // the model's output to take; empty: found as `produce` finds it
};

// Thread-safe; one image at a time.
class ImageEmbedder {
 public:
  // Loads the model: tens of milliseconds for a small one. kNotFound when the model or ONNX Runtime
  // is not there; the message says which and what was tried.
  static Result<std::unique_ptr<ImageEmbedder>> open(const EmbedOptions& options);
  ~ImageEmbedder();

  // The embedding of an image file's bytes exactly as `ca4 produce` computes it: not normalised to
  // length 1. kInvalidArgument when they are no readable image.
  Result<std::vector<float>> embed(std::string_view bytes);
  // The same of a file; kNotFound when there is none. Messages begin with the path.
  Result<std::vector<float>> embed_file(const std::string& path);

 private:
  explicit ImageEmbedder(std::unique_ptr<producer::Embedder> model);

  std::mutex mutex_;
  const std::unique_ptr<producer::Embedder> model_;
};

}  // namespace ca4::cli
