// The thread of a spooled log: sends what waits in the spool to the target, and moves the state on.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/stop_signal.h"
#include "log/event_log.h"
#include "log/spool_options.h"
#include "log/spool_router.h"

namespace ca4::log {

class SpoolForwarder {
 public:
  // `reader` reads the spool for kForwarderGroup. All else must outlive the forwarder; the target
  // may answer its last batch until it is closed.
  SpoolForwarder(SpoolRouter& router, std::unique_ptr<Consumer> reader, EventLog& target,
                 KeepRefused keep_refused, const SpooledLogOptions& options);
  ~SpoolForwarder() { stop(); }

  void start();
  // Ends after the step in hand; a batch that the target has not answered is given up and comes
  // again with the next start. Idempotent, from one thread.
  void stop();
  // From any thread: there may be something to do.
  void wake();

 private:
  using Time = SpoolRouter::Time;

  void run();
  void turn();
  void step();
  void keep_time();
  void idle();
  bool load();
  Status check_whole(const Record& record) const;
  Status send(size_t count);
  bool commit(size_t count);
  Status forward(size_t count);
  Status refuse(const Status& why);
  void trouble(const Status& why);
  void tell_oldest();
  void tell_waiting();
  void tell_direct();
  bool pause();
  void wait_until(Time time);
  bool stopped() const;

  SpoolRouter& router_;
  const std::unique_ptr<Consumer> reader_;
  EventLog& target_;
  const KeepRefused keep_refused_;
  const SpooledLogOptions& options_;

  // The thread's own.
  std::vector<Record> batch_;
  size_t at_ = 0;    // of batch_, what was not sent yet
  size_t send_max_;  // records in one append
  Time spooling_since_;
  bool told_waiting_ = false;  // that events wait
  Backoff backoff_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  bool stop_ = false;
  uint64_t send_number_ = 0;      // of the append that is waited for
  std::optional<Status> answer_;  // its outcome
  std::thread thread_;
};

}  // namespace ca4::log
