#include "producer/embed_all.h"

#include <algorithm>

namespace ca4::producer {
namespace {

FeedOptions feed_options(const EmbedOptions& options, const ModelInfo& model) {
  FeedOptions out;
  out.preprocess = model.preprocess;
  out.batch_images = feed_batch(options.batch_images, model.batch);
  out.batches_ahead = model.lanes + 1;
  out.decode_threads = options.decode_threads;
  out.file_bytes_max = options.file_bytes_max;
  out.decode = options.decode;
  return out;
}

// Rows come in any order; what they are all of is known at the end.
class Table {
 public:
  explicit Table(size_t dim) : dim_(dim) {}

  void put(size_t index, const float* row) {
    const std::scoped_lock lock(mutex_);
    rows_.resize(std::max(rows_.size(), (index + 1) * dim_));
    std::copy_n(row, dim_, rows_.begin() + static_cast<std::ptrdiff_t>(index * dim_));
  }
  void note_bad(BadImage bad) {
    const std::scoped_lock lock(mutex_);
    bad_.push_back(std::move(bad));
  }
  void fail(const Status& why) {
    const std::scoped_lock lock(mutex_);
    if (failure_.is_ok()) failure_ = why;
  }
  Status failure() const { return failure_; }
  Embeddings take(size_t images) {
    rows_.resize(images * dim_);
    std::ranges::sort(bad_, {}, &BadImage::index);
    return {std::move(rows_), images, std::move(bad_)};
  }

 private:
  const size_t dim_;
  std::mutex mutex_;
  std::vector<float> rows_;
  std::vector<BadImage> bad_;
  Status failure_;
};

void run_lane(BatchFeed& feed, Embedder& embedder, Table& table, std::atomic<size_t>* done) {
  const size_t dim = embedder.info().dim;
  while (true) {
    std::vector<Prepared> batch = feed.next();
    if (batch.empty()) return;
    const Result<std::vector<float>> rows = embedder.run(take_tensors(batch));
    if (!rows) {
      table.fail(rows.status());
      return feed.drop();
    }
    for (size_t i = 0; i < batch.size(); ++i) table.put(batch[i].index, rows->data() + i * dim);
    if (done != nullptr) *done += batch.size();
  }
}

}  // namespace

Result<Embeddings> embed_all(const EmbedOptions& options, ImageSource& source, Embedder& embedder,
                             std::atomic<size_t>* done, const std::stop_token& stop) {
  Table table(embedder.info().dim);
  BatchFeed feed(feed_options(options, embedder.info()), source,
                 {.wanted = [](Prepared&) { return true; },
                  .failed =
                      [&](const Prepared& item, const Status& why) {
                        table.note_bad({item.index, item.item.path, why.message()});
                        if (done != nullptr) ++*done;
                      }},
                 stop);
  {
    std::vector<std::jthread> lanes;
    for (size_t i = 0; i < embedder.info().lanes; ++i) {
      lanes.emplace_back([&] { run_lane(feed, embedder, table, done); });
    }
  }
  const Status read = feed.close();
  if (!table.failure().is_ok()) return table.failure();
  if (!read.is_ok()) return read;
  if (stop.stop_requested()) return Status(Code::kCancelled, "stopped");
  return table.take(feed.taken());
}

}  // namespace ca4::producer
