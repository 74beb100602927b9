#include "cli/image_embedder.h"

#include "producer/hash.h"
#include "producer/image.h"
#include "producer/model.h"
#include "producer/preprocess.h"

namespace ca4::cli {
namespace {

// Far above any photograph.
constexpr size_t kFileBytesMax = 256 << 20;

}  // namespace

Result<std::unique_ptr<ImageEmbedder>> ImageEmbedder::open(const EmbedOptions& options) {
  Result<std::unique_ptr<producer::Embedder>> model = producer::open_model(
      {.path = options.model_path, .ort_path = options.ort_path, .output = options.output});
  if (!model) return model.status();
  return std::unique_ptr<ImageEmbedder>(new ImageEmbedder(std::move(*model)));
}

ImageEmbedder::ImageEmbedder(std::unique_ptr<producer::Embedder> model)
    : model_(std::move(model)) {}
ImageEmbedder::~ImageEmbedder() = default;

Result<std::vector<float>> ImageEmbedder::embed(std::string_view bytes) {
  const Result<producer::Image> image = producer::decode_image(bytes);
  if (!image) return image.status();
  const std::vector<producer::Tensor> tensors = {
      producer::to_tensor(*image, model_->info().preprocess)};
  const std::lock_guard lock(mutex_);
  return model_->run(tensors);
}

Result<std::vector<float>> ImageEmbedder::embed_file(const std::string& path) {
  const Result<std::string> bytes = producer::read_file(path, kFileBytesMax);
  if (!bytes) return bytes.status();
  Result<std::vector<float>> embedding = embed(*bytes);
  if (embedding) return embedding;
  const Status why = embedding.status();
  return Status(why.code(), path + ": " + why.message());
}

}  // namespace ca4::cli
