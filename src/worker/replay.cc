#include "worker/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "archive/batch.h"
#include "archive/part.h"
#include "base/halves.h"
#include "worker/transform.h"

namespace ca4::worker {
namespace {

constexpr size_t kBatchDocuments =
    512;  // the worker's: where a store's cost a document stops falling
constexpr size_t kPageObjects = 1000;

// "TOPIC/dt=2026-11-23/hour=18/": the folder of what was accepted at that time. Folders sort by
// time.
std::string folder_of(const std::string& topic, int64_t us) {
  const std::string time = format_rfc3339(us);
  return fmt::format("{}/dt={}/hour={}/", topic, time.substr(0, 10), time.substr(11, 2));
}

bool will_pass(Code code) {
  return code == Code::kUnavailable || code == Code::kOverloaded || code == Code::kIo;
}

}  // namespace

Replay::Replay(store::DocumentStore& store, const Clock& clock, ReplayOptions options,
               OnProgress on_progress)
    : store_(store), clock_(clock), options_(options), on_progress_(std::move(on_progress)) {}

Status Replay::from_archive(archive::Archive& archive, const std::string& topic) {
  std::string after = options_.from_us ? folder_of(topic, *options_.from_us) : "";
  const std::string end = options_.until_us ? folder_of(topic, *options_.until_us) + '~' : "";
  const bool all_time = !options_.from_us && !options_.until_us;
  for (size_t got = kPageObjects; got == kPageObjects;) {
    std::vector<archive::ObjectInfo> page;
    Status status = with_patience([&] {
      Result<std::vector<archive::ObjectInfo>> listed =
          archive.list_page(topic + "/dt=", after, kPageObjects);
      if (listed) page = std::move(*listed);
      return listed.status();
    });
    if (!status.is_ok()) return status;
    got = page.size();
    for (const archive::ObjectInfo& object : page) {
      if (!end.empty() && object.key > end) return Status::ok();
      if (!object.key.ends_with(archive::kRowsEnding)) continue;
      status = replay_part(archive, object.key);
      if (!status.is_ok()) return status;
    }
    if (got > 0) after = page.back().key;
  }
  if (all_time && progress_.parts + progress_.damaged == 0) {
    return {Code::kNotFound, fmt::format("the archive holds nothing of topic '{}'", topic)};
  }
  return Status::ok();
}

Status Replay::replay_part(archive::Archive& archive, const std::string& key) {
  std::vector<store::Document> documents;
  const Status status = with_patience([&] {
    Result<std::vector<store::Document>> part = archive::read_part(archive, key);
    if (part) documents = std::move(*part);
    return part.status();
  });
  if (status.code() == Code::kCorruption || status.code() == Code::kNotFound ||
      status.code() == Code::kTooLarge) {
    problem(progress_.damaged, key, status.message());
    return Status::ok();
  }
  if (!status.is_ok()) return status;
  ++progress_.parts;
  return write(std::move(documents));
}

Status Replay::from_log(log::EventLog& log) {
  const Result<log::NextRecords> next = log::read_to_end(log);
  if (!next) return next.status();
  for (;;) {
    const Result<std::vector<log::Record>> records = (*next)();
    if (!records) return records.status();
    if (records->empty()) return Status::ok();
    std::vector<store::Document> documents;
    for (const log::Record& record : *records) {
      store::Document document;
      Failure failure;
      if (to_document(record, log.topic(), 0, document, failure)) {
        documents.push_back(std::move(document));
      } else {
        ++progress_.skipped;
      }
    }
    const Status status = write(std::move(documents));
    if (!status.is_ok()) return status;
  }
}

Status Replay::write(std::vector<store::Document> documents) {
  std::erase_if(documents, [this](const store::Document& document) { return !wanted(document); });
  const int64_t now_us = clock_.now_us();
  for (store::Document& document : documents) document.processed_at_us = now_us;
  const std::span<const store::Document> all(documents);
  for (size_t begin = 0; begin < all.size() && !options_.dry_run; begin += kBatchDocuments) {
    const Status status =
        write_batch(all.subspan(begin, std::min(kBatchDocuments, all.size() - begin)));
    if (!status.is_ok()) return status;
  }
  progress_.documents += documents.size();
  if (on_progress_) on_progress_(progress_);
  return Status::ok();
}

Status Replay::write_batch(std::span<const store::Document> batch) {
  std::vector<store::UpsertResult> results;
  const auto upsert = [&](size_t begin, size_t count) {
    return with_patience([&] {
      const Result<std::vector<store::UpsertResult>> some =
          store_.upsert(batch.subspan(begin, count));
      if (some) results.insert(results.end(), some->begin(), some->end());
      return some.status();
    });
  };
  const auto refuse = [&](size_t, const Status& why) {
    results.push_back({store::Outcome::kDeadLetter, why.message()});
    return Status::ok();
  };
  const Status status = try_in_halves(batch.size(), upsert, refuse);
  return status.is_ok() ? settle(batch, results) : status;
}

Status Replay::settle(std::span<const store::Document> batch,
                      std::span<const store::UpsertResult> results) {
  if (results.size() != batch.size()) {
    return {Code::kInternal, "the store gave another number of results than documents"};
  }
  for (size_t i = 0; i < batch.size(); ++i) {
    const auto& [outcome, reason] = results[i];
    if (outcome == store::Outcome::kInserted) ++progress_.inserted;
    if (outcome == store::Outcome::kUpdated) ++progress_.updated;
    if (outcome == store::Outcome::kUnchanged) ++progress_.unchanged;
    if (outcome == store::Outcome::kStale) ++progress_.stale;
    if (outcome == store::Outcome::kDeadLetter) {
      problem(progress_.refused, batch[i].metadata_id, reason);
    }
    if (outcome == store::Outcome::kRetry) {
      // Alone, with the patience of a batch of its own.
      const Status status = with_patience([&] {
        Result<std::vector<store::UpsertResult>> alone = store_.upsert(batch.subspan(i, 1));
        if (!alone) return alone.status();
        if (alone->at(0).outcome == store::Outcome::kRetry) {
          return Status(Code::kUnavailable, alone->at(0).reason);
        }
        return settle(batch.subspan(i, 1), *alone);
      });
      if (is_final_refusal(status)) {
        problem(progress_.refused, batch[i].metadata_id, status.message());
      } else if (!status.is_ok()) {
        return status;
      }
    }
  }
  return Status::ok();
}

Status Replay::with_patience(const std::function<Status()>& attempt) {
  using Steady = std::chrono::steady_clock;
  const auto give_up = Steady::now() + std::chrono::milliseconds(options_.patience_ms);
  Backoff backoff(options_.backoff, std::random_device{}());
  for (;;) {
    Status status = attempt();
    if (status.is_ok() || !will_pass(status.code())) return status;
    const auto pause = std::chrono::milliseconds(backoff.next_ms());
    if (Steady::now() + pause > give_up) return status;
    std::this_thread::sleep_for(pause);
  }
}

bool Replay::wanted(const store::Document& document) const {
  return (!options_.from_us || document.ingested_at_us >= *options_.from_us) &&
         (!options_.until_us || document.ingested_at_us < *options_.until_us);
}

void Replay::problem(uint64_t& counter, const std::string& name, const std::string& reason) {
  ++counter;
  if (progress_.problems.size() < kProblemsMax) progress_.problems.emplace_back(name, reason);
}

}  // namespace ca4::worker
