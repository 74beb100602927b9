// Taps for watchers elsewhere: an answer of HTTP is whole, so a watcher comes again and again.
#pragma once

#include <chrono>
#include <memory>

#include "http/server.h"
#include "log/event_log.h"

namespace ca4::tap {

// GET /tap?id=&pipeline=&model=&rate=&full=1, from now on, and from then on GET /tap?session=NAME.
// The answer is NDJSON and comes after half a second at the latest, maybe without an event; its
// last line is {"tap":{"session":NAME,"left_out":N}} with how many events were over the rate. A
// session that nobody asks for any more ends (404 from then on); there are at most four at once
// (503). Thread-safe.
class TapService {
 public:
  // `log` must outlive the service. A watcher asks again at once; one that has not for `idle_max`
  // is gone, or its terminal stands still.
  explicit TapService(log::EventLog& log,
                      std::chrono::milliseconds idle_max = std::chrono::seconds(10));
  // Ends after the questions in hand.
  ~TapService();
  TapService(const TapService&) = delete;
  TapService& operator=(const TapService&) = delete;

  // Must not outlive the service.
  http::Handler handler();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::tap
