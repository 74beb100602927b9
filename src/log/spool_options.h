// What can be set about a spooled log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "base/stop_signal.h"
#include "log/event_log.h"

namespace ca4::log {

// Keeps a record of the spool that the target refused for good, or that is damaged, with the
// reason. Ok when the letter is durable; otherwise it is called again, after a pause, until it is.
// From one thread. After a crash the same record may come twice.
using KeepRefused = std::function<Status(const Record& refused, const Status& why)>;

struct SpooledLogOptions {
  // Memory for appends that wait for the target (at most half of it) or are held while the way
  // changes: 64 clients with a batch of 64 large events each. Over it: kOverloaded. The spool's own
  // queue must take as much.
  size_t queue_bytes_max = 64U << 20;
  size_t queue_records_max = 65'536;
  // New events are refused while the oldest one in the spool is older than this: who would rather
  // have producers stop than deliver hours late says so here. Nothing is ever dropped for its age.
  // 0: no limit, as an event that is late is worth more than one that was refused.
  int64_t age_s_max = 0;

  // What the forwarder sends at once, and so what a crash may send again. At 50 ms a round trip
  // (a tunnel) it is 80 MB/s, more than such a link carries.
  size_t batch_records_max = 512;
  size_t batch_bytes_max = 4U << 20;

  // A target that answers none of the appends it has for so long counts as away. Longer than a
  // Kafka client takes to give up by itself: what that fails is not there, what is given up here
  // may be. Shorter than HTTP clients wait.
  int64_t stall_ms_max = 8'000;
  // How long a target that was found away may take to answer what it has. Then these events go to
  // the spool too, so that their clients are answered, and the target may have them twice.
  int64_t turn_ms_max = 1'000;
  // How long appends are held while the last events leave the spool; after that they go into it.
  int64_t return_ms_max = 1'000;
  // How often a target is asked whether it is ready. It answers from memory.
  int64_t watch_ms = 100;
  // Between tries to send while the target is away. What is back is used within five seconds.
  BackoffLimits backoff{.min_ms = 100, .max_ms = 5'000};

  // Says of a record that came back from the spool why it can't be what was put there: damaged on
  // the disk. Such a one goes to the dead letters in place of the target. From one thread. May be
  // empty: all is sent as it comes.
  std::function<Status(const Record&)> check_whole = {};

  // Told, from a thread of the log, when events begin to wait in the spool (also at the start, when
  // some do) or a target stays away that none wait for, and when they go to the target again. May
  // be empty. Must not block.
  std::function<void(const OutboxStatus&)> changed = {};
};

// The consumer group that reads the spool.
inline constexpr const char* kForwarderGroup = "ca4-forwarder";

}  // namespace ca4::log
