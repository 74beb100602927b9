// The figures of /api/stats.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "page/page.h"

namespace ca4::page {

struct StatsLimits {
  // How long for newer figures of the store than those there are: a page shows more than these.
  std::chrono::milliseconds patience{2'000};
  // What says nothing for so long is silent. Who waits two seconds more takes this process for
  // lost.
  std::chrono::milliseconds silent{8'000};
};

// Thread-safe. Reads log and store: not for an event loop. `parts` must outlive it.
class Stats {
 public:
  // Uptime counts from here.
  explicit Stats(const PageParts& parts, StatsLimits limits = {});

  // One JSON object on one line:
  //   version, uptime_s, connections, search_by_image, media (whether images can be shown),
  //   traffic: 60 seconds, oldest first, of {t, accepted, refused, failed, p50_ms, p99_ms},
  //   queue_depth, log_ready ("ok" or why not), lag: {group: events, ...},
  //   outbox: {state, waiting, age_s (of the oldest; null: none), bytes, bytes_max, last_error},
  //   store_ready, documents, gpus: [{name, documents, last_seen (Unix seconds)}, ...],
  //   dead_letters_ready, dead_letters (not replayed), dead_letters_total (ever).
  // What this process has no part for, or could not find out, is null; of a part that it has,
  // ..._ready says why. A store that does not answer holds it up for StatsLimits alone.
  std::string to_json();

 private:
  // What reads much of the store; kept for a while however many pages ask.
  struct Costly {
    std::string store_ready = "null", documents = "null", gpus = "null";
    std::string dead_letters_ready = "null", dead_letters = "null", dead_letters_total = "null";
  };
  using SteadyTime = std::chrono::steady_clock::time_point;
  Costly costly(int64_t now_us);
  Costly late() const;
  void measure_when_wanted(const std::stop_token& stopped);
  Costly measure();
  static Status measure_store(store::DocumentStore& store, Costly& found);

  const PageParts& parts_;
  const StatsLimits limits_;
  const int64_t started_us_;
  std::atomic<bool> asks_store_ = false;  // else the dead letters, while it measures
  std::mutex mutex_;
  std::condition_variable_any changed_;
  Costly kept_;                 // guarded by mutex_
  bool measured_ = false;       // guarded by mutex_
  int64_t measured_at_us_ = 0;  // guarded by mutex_
  bool wanted_ = false;         // guarded by mutex_: from when somebody asks until it is measured
  SteadyTime wanted_since_;     // guarded by mutex_
  std::jthread measurer_;  // guarded by mutex_; since the first question; last: it uses the others
};

}  // namespace ca4::page
