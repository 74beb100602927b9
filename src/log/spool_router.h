// The state of a spooled log (the machine is in spooled_log.h) and the way each append takes. Its
// lock is never held while the spool or the target is called.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "log/append_queue.h"
#include "log/embedded_log.h"
#include "log/event_log.h"
#include "log/spool_options.h"

namespace ca4::log {

// Thread-safe, but what moves the state on (below the line) is for one thread, the forwarder.
class SpoolRouter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `waiting`: what the forwarder's group has not committed in the spool. `wake` is called, with no
  // lock held, when the forwarder should look at the state; it must not block. All outlive this.
  SpoolRouter(EmbeddedLog& spool, EventLog& target, const SpooledLogOptions& options,
              const Clock& clock, const PartitionLag& waiting, std::function<void()> wake);

  // See EventLog.
  void append(std::vector<NewRecord> batch, AppendDone done);
  Status ready() const;
  size_t depth() const;
  OutboxStatus status() const;

  OutboxState state() const { return state_; }
  int64_t waiting_records() const;

  // --- For the forwarder's thread ---

  // direct -> turning, when the target is not ready or has stalled.
  void check_target();
  // From when on `finish_turn` may be called. Comes closer when the target answers.
  Time turn_over_at() const;
  // turning -> spooling.
  void finish_turn();

  // spooling -> returning.
  void begin_return();
  Time return_over_at() const;
  // True when nothing is in the spool or on its way there.
  bool drained() const;
  // returning -> direct; `drained` must hold. Ends in turning where the target fails meanwhile.
  void finish_return();
  // returning -> spooling; in any other state nothing.
  void cancel_return();

  // The forwarder has committed up to `next`.
  void note_forwarded(int64_t next, uint64_t records);
  void note_refused(int64_t next);
  void note_oldest(std::optional<int64_t> appended_at_us);
  void note_trouble(const Status& why);

  // --- For close ---

  // Every append from now on gets kCancelled.
  void refuse_new();
  // What the target failed, and what is held, goes to the spool. The target is closed, the
  // forwarder has ended.
  void spool_the_rest();

 private:
  struct Flying {
    PendingAppend append;
    bool failed = false;
  };

  Status refusal_of(const PendingAppend& append) const;
  Status age_refusal() const;
  bool fits_in_flight(const PendingAppend& append) const;
  uint64_t take_off(PendingAppend append);
  void fly(uint64_t number, std::vector<NewRecord> records);
  void answered(uint64_t number, Result<std::vector<Position>> result);
  // Sent: the target was given it too, and may have it without having said so.
  void to_spool(PendingAppend append, bool sent);
  struct Spooling {
    AppendDone done;
    size_t records = 0;
    bool sent = false;
  };
  void spooled(const Spooling& append, Result<std::vector<Position>> result);
  bool turn(const Status& why, int64_t patience_ms);
  void enter(OutboxState state);
  void spool_flying();
  void spool_held();

  EmbeddedLog& spool_;
  EventLog& target_;
  const SpooledLogOptions& options_;
  const Clock& clock_;
  const std::function<void()> wake_;

  mutable std::mutex mutex_;        // guards everything below
  std::atomic<OutboxState> state_;  // written with the lock held
  bool closed_ = false;
  std::map<uint64_t, Flying> flying_;  // appends that the target has, by order of arrival
  uint64_t next_number_ = 0;
  size_t flying_bytes_ = 0;
  size_t flying_records_ = 0;
  size_t unanswered_ = 0;  // of flying_
  Time progress_at_;       // the target answered, or got its first append
  Time turned_at_;
  int64_t turn_patience_ms_ = 0;
  Time returning_at_;
  std::deque<PendingAppend> held_;
  size_t held_bytes_ = 0;
  size_t held_records_ = 0;
  size_t spool_pending_ = 0;  // appends that the spool has not answered
  int64_t spool_end_ = 0;     // one past its newest record
  int64_t forwarded_to_ = 0;  // what the forwarder has committed
  OutboxStatus told_;         // the counts, times and reasons in it
};

}  // namespace ca4::log
