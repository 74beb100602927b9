#include "producer/pipeline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "base/digest.h"
#include "event/event.h"
#include "producer/batch_feed.h"
#include "producer/busy_clock.h"
#include "producer/reply.h"

namespace ca4::producer {
namespace {

using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

FeedOptions feed_options(const PipelineOptions& options, const ModelInfo& model) {
  FeedOptions out;
  out.preprocess = model.preprocess;
  out.batch_images = feed_batch(options.batch_images, model.batch);
  out.batches_ahead = model.lanes + 1;
  out.decode_threads = options.decode_threads;
  out.file_bytes_max = options.file_bytes_max;
  out.decode = options.decode;
  return out;
}

// Lines between two syncs of the journal: a crash of the machine repeats at most so many images.
constexpr size_t kLinesPerSync = 256;

// Which processor is behind the endpoint, where it says so: one behind a tunnel, whose address is
// another after each start. Otherwise, also where nobody answers, the endpoint itself.
std::string destination_of(const std::string& endpoint, Transport& transport) {
  const Result<Reply> health = transport.get("/health");
  std::string id = health ? processor_id(*health) : "";
  return id.empty() ? endpoint : id;
}

// One run; its threads share this object.
class Run {
 public:
  Run(const PipelineOptions& options, ImageSource& source, Embedder& embedder, Transport& transport,
      Journal& journal, const Clock& clock, Progress& progress, std::stop_token stop,
      std::stop_token abandon)
      : options_(options),
        destination_(destination_of(options.endpoint, transport)),
        embedder_(embedder),
        journal_(journal),
        clock_(clock),
        progress_(progress),
        stop_(stop),
        sender_(
            transport, options.sender,
            [this](const Parcel& parcel, const Status& outcome) { return settle(parcel, outcome); },
            stop),
        feed_(feed_options(options, embedder.info()), source,
              {.wanted = [this](Prepared& item) { return is_wanted(item); },
               .failed =
                   [this](const Prepared& item, const Status& why) {
                     // With a key it was wanted, and so on its way.
                     if (!item.key.empty()) {
                       note_lost(item.key);
                       --progress_.embedding;
                     }
                     skip(item.item.path, why.message());
                   }},
              std::move(stop)),
        count_(source.count()),
        on_abandon_(std::move(abandon), [this] { feed_.drop(); }) {}

  Report run() {
    const Steady::time_point start = Steady::now();
    {
      std::vector<std::jthread> lanes;
      for (size_t i = 0; i < embedder_.info().lanes; ++i) {
        lanes.emplace_back([this] { embed_batches(); });
      }
    }
    const Status read = feed_.close();  // releases decoders when embedding ended early
    const Status sent = sender_.finish();
    const Status synced = journal_.sync();
    skip_copies_of_lost();
    report_.files = count_.value_or(feed_.taken());
    report_.sent = progress_.sent;
    report_.already_sent = progress_.already_sent;
    report_.wall_s = seconds_since(start);
    report_.model_busy_s = busy_.seconds();
    for (const Status& status : {embedding_failure_, read, sent, synced}) {
      if (report_.status.is_ok()) report_.status = status;
    }
    if (report_.status.is_ok() && stop_.stop_requested() &&
        (!feed_.exhausted() || progress_.settled() < feed_.taken())) {
      report_.status = {Code::kCancelled, "stopped"};
    }
    return std::move(report_);
  }

 private:
  // --- Decode threads ---

  bool is_wanted(Prepared& item) {
    const ModelInfo& model = embedder_.info();
    item.item.model_sha256 = model.sha256;
    item.item.model_name = model.name;
    item.item.output = model.output;
    item.key = item_key(item.item, destination_);
    if (!options_.id_template.has_content()) note_id(item.item);
    const bool fresh = !was_sent(item) && claim(item.key, item.item.path);
    ++(fresh ? progress_.embedding : progress_.already_sent);
    return fresh;
  }

  // Everything a person chose that shows in the stored document: with the same arguments nothing is
  // sent twice, with others it is.
  std::string item_key(const ItemFacts& item, const std::string& destination) const {
    std::string text;
    for (const std::string& part :
         {destination, options_.id_template.stable_part(item), item.content_sha256,
          item.model_sha256, item.output, options_.run.pipeline, options_.run.notes,
          fmt::format("{}", fmt::join(options_.run.tags, "\n"))}) {
      text += fmt::format("{}:{}", part.size(), part);
    }
    return sha256_hex(text).substr(0, 32);
  }

  // To here; or to the endpoint, by a run that did not learn what is behind it.
  bool was_sent(const Prepared& item) const {
    return journal_.contains(item.key) ||
           (destination_ != options_.endpoint &&
            journal_.contains(item_key(item.item, options_.endpoint)));
  }

  bool claim(const std::string& key, const std::string& path) {
    const std::scoped_lock lock(mutex_);
    const bool fresh = claimed_.insert(key).second;
    if (!fresh) copies_.emplace_back(key, path);
    return fresh;
  }

  // Two folders that both have a 001.jpg: what is stored last replaces the other, and the counts
  // would not show it.
  void note_id(const ItemFacts& item) {
    const std::string id = options_.id_template.stable_part(item);
    const std::hash<std::string> hash;
    {
      const std::scoped_lock lock(mutex_);
      const size_t content = hash(item.content_sha256);
      if (ids_.emplace(hash(id), content).first->second == content || told_of_ids_) return;
      told_of_ids_ = true;
    }
    if (!options_.sender.notify) return;
    options_.sender.notify(
        fmt::format("{} has the id of another picture, {}: where ids are the same, one picture "
                    "replaces the other; {{sha}} in the id template keeps them apart",
                    item.path, id));
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

  // --- Model lanes ---

  void embed_batches() {
    while (true) {
      std::vector<Prepared> batch = feed_.next();
      if (batch.empty()) return;
      const Result<std::vector<float>> embeddings = compute(take_tensors(batch));
      if (!embeddings) return fail(embeddings.status());
      progress_.embedding -= batch.size();
      std::vector<Parcel> parcels = pack(batch, *embeddings);
      progress_.sending += parcels.size();
      if (!sender_.submit(std::move(parcels))) return fail(Status::ok());  // finish() says why
    }
  }

  Result<std::vector<float>> compute(const std::vector<Tensor>& images) {
    const BusyClock::Work work(busy_);
    return embedder_.run(images);
  }

  // Ends the other lanes too.
  void fail(const Status& why) {
    {
      const std::scoped_lock lock(mutex_);
      if (embedding_failure_.is_ok()) embedding_failure_ = why;
    }
    feed_.drop();
  }

  std::vector<Parcel> pack(const std::vector<Prepared>& batch, std::span<const float> embeddings) {
    const ModelInfo& model = embedder_.info();
    const int64_t now_us = clock_.now_us();
    const std::string gpu = options_.gpu_hardware_json();
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
                                         embeddings.subspan(i * model.dim, model.dim), gpu, now_us);
      parcels.push_back({std::move(id), item.key, item.item.path, std::move(payload)});
    }
    return parcels;
  }

  // --- Sender threads ---

  Status settle(const Parcel& parcel, const Status& outcome) {
    --progress_.sending;
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
  const std::string destination_;
  Embedder& embedder_;
  Journal& journal_;
  const Clock& clock_;
  Progress& progress_;
  const std::stop_token stop_;
  BusyClock busy_;
  std::mutex mutex_;  // what stands from here to report_
  Status embedding_failure_;
  std::unordered_set<std::string> claimed_;
  std::unordered_map<size_t, size_t> ids_;  // hashes of ids and contents, where these may differ
  bool told_of_ids_ = false;
  std::unordered_set<std::string> lost_;                     // keys of skipped items
  std::vector<std::pair<std::string, std::string>> copies_;  // key and path, of this run
  Report report_;
  Sender sender_;   // from here on: their threads use all of the above
  BatchFeed feed_;  // the last to start, the first to end
  const std::optional<size_t> count_;
  const std::stop_callback<std::function<void()>> on_abandon_;
};

}  // namespace

Report run_pipeline(const PipelineOptions& options, ImageSource& source, Embedder& embedder,
                    Transport& transport, Journal& journal, const Clock& clock, Progress& progress,
                    std::stop_token stop, std::stop_token abandon) {
  return Run(options, source, embedder, transport, journal, clock, progress, std::move(stop),
             std::move(abandon))
      .run();
}

}  // namespace ca4::producer
