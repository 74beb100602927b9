// The producer's first half: images -> decode pool -> batches of tensors.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include "base/status.h"
#include "producer/bounded_queue.h"
#include "producer/image.h"
#include "producer/image_source.h"
#include "producer/payload.h"
#include "producer/preprocess.h"

namespace ca4::producer {

struct Prepared {
  size_t index = 0;  // in the order the source gave them
  ItemFacts item;
  ImageFacts image;
  std::string key;  // of the journal, where there is one
  Tensor tensor;
};

// Images of a batch: a model that runs a fixed number (not 0) is given whole multiples of it.
size_t feed_batch(size_t wanted, size_t fixed);

struct FeedOptions {
  Preprocess preprocess;
  size_t batch_images = 8;
  // Batches that wait decoded: the one that is taken next by each lane, and one more.
  size_t batches_ahead = 2;
  size_t decode_threads = 2;
  // Far above any photograph; keeps a wrong path (a video, a disk image) out of memory.
  size_t file_bytes_max = 256 << 20;
  DecodeLimits decode;
};

// Decodes ahead, by a bounded number of batches, in threads of its own.
class BatchFeed {
 public:
  // Called from the decode threads. `wanted`: the item's path, uri and content hash are known, its
  // pixels are not; false leaves it out. `failed`: it is no readable image.
  struct Callbacks {
    std::function<bool(Prepared&)> wanted;
    std::function<void(const Prepared&, const Status&)> failed;
  };

  // Starts the threads. `source` must outlive this. After a stop is requested no new image is
  // begun.
  BatchFeed(const FeedOptions& options, ImageSource& source, Callbacks callbacks,
            std::stop_token stop);
  // As close().
  ~BatchFeed();

  // The next batch_images images; fewer only at the end, none after it. Any thread.
  std::vector<Prepared> next() { return queue_.pop(options_.batch_images); }
  // Drops what is decoded and takes no more; next() gives nothing from then on. Any thread.
  void drop() { queue_.close(/*drop=*/true); }
  // As drop(), and ends the threads. Ok, or how the source failed.
  Status close();
  // Did the source say that there are no more images? A stop comes before that.
  bool exhausted() const { return exhausted_; }
  // Images that the source has given.
  size_t taken() const { return taken_; }

 private:
  void decode();
  std::optional<SourceImage> take(size_t& index);
  // Of one image: true when it goes into a batch.
  bool prepare(const SourceImage& from, Prepared& out);
  Result<Image> read(const std::string& path, Prepared& out, bool& wanted);

  const FeedOptions options_;
  ImageSource& source_;
  const Callbacks callbacks_;
  const std::stop_token stop_;
  BoundedQueue<Prepared> queue_;
  std::atomic<size_t> taken_ = 0;
  std::atomic<bool> exhausted_ = false;
  std::atomic<size_t> decoders_left_;
  std::mutex mutex_;  // source_, source_failure_
  Status source_failure_;
  std::vector<std::jthread> threads_;
};

// As Embedder::run takes them; they are no longer in `batch`.
std::vector<Tensor> take_tensors(std::vector<Prepared>& batch);

}  // namespace ca4::producer
