#include "producer/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <unordered_set>

#include "base/digest.h"
#include "event/event.h"
#include "producer/bounded_queue.h"
#include "producer/hash.h"
#include "producer/preprocess.h"

namespace ca4::producer {
namespace {

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

// Lines between two syncs of the journal: a crash of the machine repeats at most so many images.
constexpr size_t kLinesPerSync = 256;

struct Prepared {
  ItemFacts item;
  ImageFacts image;
  std::string key;
  std::vector<float> tensor;
};

// One run; its threads share this object.
class Run {
 public:
  Run(const PipelineOptions& options, Embedder& embedder, Transport& transport, Journal& journal,
      const Clock& clock, Progress& progress, std::stop_token stop)
      : options_(options),
        embedder_(embedder),
        journal_(journal),
        clock_(clock),
        progress_(progress),
        stop_(stop),
        batch_(round_up(options.batch_images, embedder.info().batch)),
        decoded_(2 * batch_),
        sender_(
            transport, options.sender,
            [this](const Parcel& parcel, const Status& outcome) { return settle(parcel, outcome); },
            std::move(stop)) {}

  Report run() {
    const Steady::time_point start = Steady::now();
    decoders_left_ = options_.decode_threads;
    std::vector<std::jthread> decoders;
    for (size_t i = 0; i < options_.decode_threads; ++i)
      decoders.emplace_back([this] { decode_files(); });
    const Status embedded = embed_batches();
    decoded_.close(/*drop=*/true);  // releases decoders when embedding ended early
    decoders.clear();
    const Status sent = sender_.finish();
    const Status synced = journal_.sync();
    skip_copies_of_lost();
    report_.files = options_.files.size();
    report_.sent = progress_.sent;
    report_.already_sent = progress_.already_sent;
    report_.wall_s = seconds_since(start);
    for (const Status& status : {embedded, sent, synced}) {
      if (report_.status.is_ok()) report_.status = status;
    }
    if (report_.status.is_ok() && stop_.stop_requested() &&
        progress_.settled() < options_.files.size()) {
      report_.status = {Code::kCancelled, "stopped"};
    }
    return std::move(report_);
  }

 private:
  // A model that runs a fixed number of images is given whole multiples of it.
  static size_t round_up(size_t wanted, size_t fixed) {
    return fixed == 0 ? wanted : (wanted + fixed - 1) / fixed * fixed;
  }

  // --- Decode threads ---

  void decode_files() {
    for (size_t i = 0; (i = next_file_++) < options_.files.size() && !stop_.stop_requested();) {
      Result<std::optional<Prepared>> prepared = prepare(options_.files[i]);
      if (!prepared) {
        skip(options_.files[i], prepared.status().message());
      } else if (!*prepared) {
        ++progress_.already_sent;
      } else if (!decoded_.push(std::move(**prepared))) {
        break;
      }
    }
    if (--decoders_left_ == 0) decoded_.close();
  }

  // Nothing when the item is done already.
  Result<std::optional<Prepared>> prepare(const std::string& path) {
    Result<std::string> bytes = read_file(path, options_.file_bytes_max);
    if (!bytes) return bytes.status();
    const ModelInfo& model = embedder_.info();
    Prepared out;
    out.item = {path, sha256_hex(*bytes), model.sha256, model.name, model.output};
    out.key = item_key(out.item);
    if (!claim(out.key, path)) return std::optional<Prepared>();
    Result<Image> image = decode_image(*bytes, options_.decode);
    if (!image) {
      note_lost(out.key);
      return image.status();
    }
    out.image = {image->file_width, image->file_height, image->format};
    out.tensor.resize(model.preprocess.tensor_floats());
    to_tensor(*image, model.preprocess, out.tensor);
    return std::optional<Prepared>(std::move(out));
  }

  // Everything a person chose that shows in the stored document: with the same arguments nothing is
  // sent twice, with others it is.
  std::string item_key(const ItemFacts& item) const {
    std::string text;
    for (const std::string& part :
         {options_.endpoint, options_.id_template.stable_part(item), item.content_sha256,
          item.model_sha256, item.output, options_.run.pipeline, options_.run.notes,
          fmt::format("{}", fmt::join(options_.run.tags, "\n"))}) {
      text += fmt::format("{}:{}", part.size(), part);
    }
    return sha256_hex(text).substr(0, 32);
  }

  bool claim(const std::string& key, const std::string& path) {
    if (journal_.contains(key)) return false;
    const std::scoped_lock lock(mutex_);
    const bool fresh = claimed_.insert(key).second;
    if (!fresh) copies_.emplace_back(key, path);
    return fresh;
  }

  // The item of `key` was skipped, and so are its copies.
  void note_lost(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    lost_.insert(key);
  }

  // Copies were counted as sent, which shows only now.
  void skip_copies_of_lost() {
    for (const auto& [key, path] : copies_) {
      if (!lost_.contains(key)) continue;
      --progress_.already_sent;
      skip(path, "the same picture as one that was skipped");
    }
  }

  // --- The calling thread ---

  Status embed_batches() {
    std::vector<float> tensors;
    while (true) {
      const std::vector<Prepared> batch = decoded_.pop(batch_);
      if (batch.empty()) return Status::ok();
      tensors.clear();
      for (const Prepared& item : batch) {
        tensors.insert(tensors.end(), item.tensor.begin(), item.tensor.end());
      }
      const Steady::time_point start = Steady::now();
      const Result<std::vector<float>> embeddings = embedder_.run(tensors, batch.size());
      report_.model_busy_s += seconds_since(start);
      if (!embeddings) return embeddings.status();
      if (!sender_.submit(pack(batch, *embeddings))) return Status::ok();  // finish() says why
    }
  }

  std::vector<Parcel> pack(const std::vector<Prepared>& batch, std::span<const float> embeddings) {
    const ModelInfo& model = embedder_.info();
    const int64_t now_us = clock_.now_us();
    std::vector<Parcel> parcels;
    for (size_t i = 0; i < batch.size(); ++i) {
      const Prepared& item = batch[i];
      std::string id = options_.id_template.expand(item.item, now_us / 1'000'000);
      if (id.size() > event::kIdBytesMax) {
        note_lost(item.key);
        skip(item.item.path,
             fmt::format("its id has {} bytes, the limit is {}", id.size(), event::kIdBytesMax));
        continue;
      }
      std::string payload = payload_json(options_.run, model, item.item, item.image, id,
                                         embeddings.subspan(i * model.dim, model.dim), now_us);
      parcels.push_back({std::move(id), item.key, item.item.path, std::move(payload)});
    }
    return parcels;
  }

  // --- Sender threads ---

  Status settle(const Parcel& parcel, const Status& outcome) {
    if (!outcome.is_ok()) {
      note_lost(parcel.key);
      skip(parcel.path, "refused by the processor: " + outcome.message());
      return Status::ok();
    }
    Status kept = journal_.add(parcel.key, parcel.id, parcel.path, clock_.now_us() / 1'000'000);
    if (kept.is_ok() && ++progress_.sent % kLinesPerSync == 0) kept = journal_.sync();
    return kept;
  }

  void skip(const std::string& path, const std::string& reason) {
    const std::scoped_lock lock(mutex_);
    report_.skipped.push_back({path, reason});
    ++progress_.skipped;
  }

  const PipelineOptions& options_;
  Embedder& embedder_;
  Journal& journal_;
  const Clock& clock_;
  Progress& progress_;
  const std::stop_token stop_;
  const size_t batch_;
  std::atomic<size_t> next_file_ = 0;
  std::atomic<size_t> decoders_left_ = 0;
  std::mutex mutex_;  // claimed_, lost_, copies_, report_.skipped
  std::unordered_set<std::string> claimed_;
  std::unordered_set<std::string> lost_;                     // keys of skipped items
  std::vector<std::pair<std::string, std::string>> copies_;  // key and path, of this run
  Report report_;
  BoundedQueue<Prepared> decoded_;
  Sender sender_;  // last: its threads use all of the above
};

}  // namespace

Report run_pipeline(const PipelineOptions& options, Embedder& embedder, Transport& transport,
                    Journal& journal, const Clock& clock, Progress& progress,
                    std::stop_token stop) {
  return Run(options, embedder, transport, journal, clock, progress, std::move(stop)).run();
}

}  // namespace ca4::producer
