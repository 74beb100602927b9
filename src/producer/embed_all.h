// Embeddings of many images without sending them anywhere.
#pragma once

#include <stop_token>
#include <vector>

#include "base/status.h"
#include "producer/batch_feed.h"
#include "producer/embedder.h"

namespace ca4::producer {

struct BadImage {
  size_t index = 0;  // in the order of the source
  std::string path;
  std::string reason;
};

struct Embeddings {
  std::vector<float> rows;  // images × dim, in the order of the source; a bad image's are zeros
  size_t images = 0;
  std::vector<BadImage> bad;  // in the order of the source
};

struct EmbedOptions {
  size_t batch_images = 8;
  size_t decode_threads = 2;
  size_t file_bytes_max = FeedOptions{}.file_bytes_max;
  DecodeLimits decode;
};

// Decodes and embeds what `source` gives. Fails as the source or the model does; kCancelled after a
// stop. `done`, when set, counts images.
Result<Embeddings> embed_all(const EmbedOptions& options, ImageSource& source, Embedder& embedder,
                             std::atomic<size_t>* done, const std::stop_token& stop);

}  // namespace ca4::producer
