// Store-and-forward: an event log made of two others, an embedded one (the spool) in front of a
// target that may be away. Events are acknowledged when either of them has them.
//
// Which state follows which is drawn in docs/design.md, Store-and-forward.
//
//   direct     appends go to the target; its acknowledgement is the answer.
//   turning    new appends are held in memory until each one that the target has is answered. What
//              it failed, or did not answer in time, goes to the spool first, in order of arrival;
//              then what was held.
//   spooling   appends go to the spool, positions in kOutboxPartition. The forwarder, a thread,
//              sends what is there in order, a batch at a time, and commits after each.
//   returning  new appends are held until the last event has left the spool, then go to the target.
//
// So per key the target gets events in the order of acceptance: an append that begins after another
// one was acknowledged never overtakes it. Appends that are under way at the same time have no
// order between them, and when the target fails one and takes the next they may come the other way
// round.
//
// What the target may get twice: an append that it wrote but did not acknowledge, and, after a
// crash, the forwarder's batch in flight (SpooledLogOptions::batch_records_max). Readers keep the
// newest version of a key, so this changes nothing.
//
// A record that the target refuses for good (kTooLarge, kInvalidArgument) is refused
// to its client while direct. From the spool it goes to the dead letters, and its neighbours on. So
// a target must keep these codes for what is wrong with a record: a missing topic or a refused
// login is none of them. What the disk has damaged (SpooledLogOptions::check_whole) goes that way
// too.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "log/embedded_log.h"
#include "log/event_log.h"
#include "log/spool_options.h"

namespace ca4::log {

class SpoolForwarder;
class SpoolRouter;

class SpooledLog final : public EventLog {
 public:
  // Starts spooling when the spool holds undelivered records or the target is not ready. `spool`
  // must be a writer that knows kForwarderGroup and deletes what that has committed; no one else
  // may append to it. `clock` must outlive the log.
  static Result<std::unique_ptr<SpooledLog>> open(std::unique_ptr<EmbeddedLog> spool,
                                                  std::unique_ptr<EventLog> target,
                                                  KeepRefused keep_refused,
                                                  SpooledLogOptions options, const Clock& clock);
  ~SpooledLog() override;

  // Fails with the spool's reason, where that is needed: kOverloaded when it is full or its oldest
  // record too old, kIo when the disk refuses. A failure after a turn says only that nothing was
  // kept here: the target may have written what it did not acknowledge.
  void append(std::vector<NewRecord> batch, AppendDone done) override;

  // Of the target and the spool, whichever way events go now: what the target never takes is
  // refused to its client, not found out by the forwarder.
  Status admits(const NewRecord& record) const override;

  // All of these are the target's: while it is away they fail as it does, and what waits in the
  // spool is not seen before it is forwarded.
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override;
  Result<std::unique_ptr<Consumer>> scan(From from) override;
  Result<std::vector<PartitionLag>> lag(const std::string& group) override;
  Result<Description> describe() override;

  // The target's, and the spool's newest record in kOutboxPartition where any waits. While the
  // target is away the spool's alone, which may be none: a start must not fail for that.
  Result<std::vector<Record>> newest() override;

  // Ok as long as the target or the spool takes events.
  Status ready() override;
  size_t queue_depth() const override;
  std::optional<OutboxStatus> outbox() const override;

  // Also finishes what the target does not: that goes to the spool. What waits there stays for the
  // next start.
  void close() override;
  const std::string& topic() const override { return target_->topic(); }

 private:
  SpooledLog(std::unique_ptr<EmbeddedLog> spool, std::unique_ptr<EventLog> target,
             SpooledLogOptions options);

  const SpooledLogOptions options_;
  const std::unique_ptr<EmbeddedLog> spool_;
  const std::unique_ptr<EventLog> target_;
  std::unique_ptr<SpoolRouter> router_;
  std::unique_ptr<SpoolForwarder> forwarder_;
  std::mutex close_mutex_;
  bool closed_ = false;  // guarded by close_mutex_
};

}  // namespace ca4::log
