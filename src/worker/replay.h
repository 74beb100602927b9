// Fills a document store again, from the archive or from the event log. Upserts compare versions,
// so a replay may run twice, beside a live worker, and into a store that has some of it already.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "archive/archive.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/stop_signal.h"
#include "log/event_log.h"
#include "store/document_store.h"

namespace ca4::worker {

struct ReplayOptions {
  // Only what was accepted in this time.
  std::optional<int64_t> from_us = {};   // inclusive
  std::optional<int64_t> until_us = {};  // exclusive
  bool dry_run = false;                  // reads everything, writes nothing
  // How long a store or archive that is away is waited for, before the replay gives up. A person
  // sits in front of it, and it can be run again.
  int64_t patience_ms = 60'000;
  BackoffLimits backoff = {.max_ms = 5'000};
};

struct ReplayProgress {
  uint64_t parts = 0;      // of an archive
  uint64_t documents = 0;  // read, and inside the time asked for
  uint64_t inserted = 0, updated = 0, unchanged = 0, stale = 0;
  uint64_t skipped = 0;  // records that no document can be made of: the dead letters have them
  uint64_t damaged = 0;  // parts that can't be read
  uint64_t refused = 0;  // documents that the store can't keep
  // Names and reasons of what was damaged or refused, the first kProblemsMax of them.
  std::vector<std::pair<std::string, std::string>> problems;
};

inline constexpr size_t kProblemsMax = 100;

// One thread. Holds one part, or one poll of the log, in memory at a time.
class Replay {
 public:
  using OnProgress = std::function<void(const ReplayProgress&)>;

  // Everything given must outlive the replay. `on_progress` is called after each batch; may be
  // empty.
  Replay(store::DocumentStore& store, const Clock& clock, ReplayOptions options,
         OnProgress on_progress);

  // Every part of the topic. A damaged part is counted and its neighbours are read. kNotFound when
  // there is no part at all; another failure when archive or store stay away, or must be mended.
  // The documents are as the worker made them, but for processed_at, which is now.
  Status from_archive(archive::Archive& archive, const std::string& topic);

  // Every record from the oldest there is to what is the end now, through the worker's transform.
  Status from_log(log::EventLog& log);

  const ReplayProgress& progress() const { return progress_; }

 private:
  Status replay_part(archive::Archive& archive, const std::string& key);
  Status write(std::vector<store::Document> documents);
  Status write_batch(std::span<const store::Document> batch);
  Status settle(std::span<const store::Document> batch,
                std::span<const store::UpsertResult> results);
  Status with_patience(const std::function<Status()>& attempt);
  bool wanted(const store::Document& document) const;
  void problem(uint64_t& counter, const std::string& name, const std::string& reason);

  store::DocumentStore& store_;
  const Clock& clock_;
  const ReplayOptions options_;
  const OnProgress on_progress_;
  ReplayProgress progress_;
};

}  // namespace ca4::worker
