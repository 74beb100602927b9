// The figures of /api/stats.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "page/page.h"

namespace ca4::page {

// Thread-safe. Reads log and store: not for an event loop. `parts` must outlive it.
class Stats {
 public:
  // Uptime counts from here.
  explicit Stats(const PageParts& parts);

  // One JSON object on one line:
  //   version, uptime_s, connections, search_by_image, media (whether images can be shown),
  //   traffic: 60 seconds, oldest first, of {t, accepted, refused, failed, p50_ms, p99_ms},
  //   queue_depth, log_ready ("ok" or why not), lag: {group: events, ...},
  //   outbox: {state, waiting, age_s (of the oldest; null: none), bytes, bytes_max, last_error},
  //   store_ready, documents, gpus: [{name, documents, last_seen (Unix seconds)}, ...],
  //   dead_letters_ready, dead_letters (not replayed), dead_letters_total (ever).
  // What this process has no part for, or could not find out, is null; of a part that it has,
  // ..._ready says why.
  std::string to_json();

 private:
  // What reads much of the store; kept for a while however many pages ask.
  struct Costly {
    std::string store_ready = "null", documents = "null", gpus = "null";
    std::string dead_letters_ready = "null", dead_letters = "null", dead_letters_total = "null";
  };
  Costly costly(int64_t now_us);
  Costly measure() const;
  static Status measure_store(store::DocumentStore& store, Costly& found);

  const PageParts& parts_;
  const int64_t started_us_;
  std::mutex mutex_;            // held while measuring, so that others wait for the same answer
  Costly kept_;                 // guarded by mutex_
  bool measured_ = false;       // guarded by mutex_
  int64_t measured_at_us_ = 0;  // guarded by mutex_
};

}  // namespace ca4::page
