#include "producer/batch_feed.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "producer/hash.h"
#include "producer/paths.h"

namespace ca4::producer {
namespace {

// Of pixels in memory: their size belongs to what they show.
std::string pixels_sha256(const Image& image) {
  Sha256 hash;
  hash.add(fmt::format("rgb {} {}\n", image.width, image.height));
  hash.add({reinterpret_cast<const char*>(image.rgb.data()), image.rgb.size()});
  return hash.hex();
}

}  // namespace

size_t feed_batch(size_t wanted, size_t fixed) {
  return fixed == 0 ? wanted : (wanted + fixed - 1) / fixed * fixed;
}

BatchFeed::BatchFeed(const FeedOptions& options, ImageSource& source, Callbacks callbacks,
                     std::stop_token stop)
    : options_(options),
      source_(source),
      callbacks_(std::move(callbacks)),
      stop_(std::move(stop)),
      queue_(options.batch_images * options.batches_ahead),
      decoders_left_(options.decode_threads) {
  for (size_t i = 0; i < options_.decode_threads; ++i) threads_.emplace_back([this] { decode(); });
}

BatchFeed::~BatchFeed() {
  static_cast<void>(close());
}

Status BatchFeed::close() {
  drop();
  threads_.clear();  // joins
  const std::scoped_lock lock(mutex_);
  return source_failure_;
}

void BatchFeed::decode() {
  while (!stop_.stop_requested()) {
    Prepared prepared;
    const std::optional<SourceImage> from = take(prepared.index);
    if (!from || (prepare(*from, prepared) && !queue_.push(std::move(prepared)))) break;
  }
  if (--decoders_left_ == 0) queue_.close();
}

std::optional<SourceImage> BatchFeed::take(size_t& index) {
  const std::scoped_lock lock(mutex_);
  if (exhausted_ || !source_failure_.is_ok()) return std::nullopt;
  Result<std::optional<SourceImage>> next = source_.next();
  if (!next) {
    source_failure_ = next.status();
    return std::nullopt;
  }
  if (!*next) {
    exhausted_ = true;
  } else {
    index = taken_++;
  }
  return std::move(*next);
}

bool BatchFeed::prepare(const SourceImage& from, Prepared& out) {
  bool wanted = true;
  Result<Image> image = Status(Code::kInternal, "");
  out.item.path = from.path;
  if (from.load) {
    out.item.uri = memory_uri(from.path);
    image = from.load();
    if (image) {
      out.item.content_sha256 = pixels_sha256(*image);
      wanted = callbacks_.wanted(out);
    }
  } else {
    image = read(from.path, out, wanted);
  }
  if (!wanted) return false;
  if (!image) {
    callbacks_.failed(out, image.status());
    return false;
  }
  out.image = {image->file_width, image->file_height, image->format};
  out.tensor = to_tensor(*image, options_.preprocess);
  return true;
}

Result<Image> BatchFeed::read(const std::string& path, Prepared& out, bool& wanted) {
  out.item.uri = file_uri(path);
  if (is_no_file(path)) return Status(Code::kInvalidArgument, "a pipe or a device, no file");
  Result<std::string> bytes = read_file(path, options_.file_bytes_max);
  if (!bytes) {
    // Whoever reads of a skipped image has the path before the reason.
    const std::string before = path + ": ";
    const std::string why = bytes.status().message();
    return Status(bytes.status().code(), why.starts_with(before) ? why.substr(before.size()) : why);
  }
  out.item.content_sha256 = sha256_hex(*bytes);
  wanted = callbacks_.wanted(out);
  if (!wanted) return Status(Code::kCancelled, "not wanted");
  return decode_image(*bytes, options_.decode);
}

std::vector<Tensor> take_tensors(std::vector<Prepared>& batch) {
  std::vector<Tensor> out;
  out.reserve(batch.size());
  for (Prepared& item : batch) out.push_back(std::move(item.tensor));
  return out;
}

}  // namespace ca4::producer
