// The event log: where an acknowledged event first becomes durable, and from where workers take it.
// Records are opaque here. One topic a log; one or more partitions; offsets grow by append order
// within a partition and are never reused. All methods of EventLog are thread-safe; a Consumer
// belongs to one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace ca4::log {

struct NewRecord {
  std::string key;
  std::string value;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct Position {
  int32_t partition = 0;
  int64_t offset = 0;
  friend auto operator<=>(const Position&, const Position&) = default;
};

struct Record {
  Position position;
  int64_t appended_at_us = 0;
  std::string key;
  std::string value;
  std::vector<std::pair<std::string, std::string>> headers;
};

struct PollLimits {
  size_t records_max = 512;
  size_t bytes_max =
      8U << 20;  // keys + values; at least one record is returned even when it alone is larger
  int64_t wait_ms_max = 500;  // how long to wait for the first record
};

struct PartitionLag {
  int32_t partition = 0;
  int64_t committed = 0;  // next offset the group will read
  int64_t end = 0;        // next offset the log will write
  int64_t lag() const { return end - committed; }
};

// Reads one topic for a group, from the group's committed position on.
class Consumer {
 public:
  virtual ~Consumer() = default;

  // The next records after those of the last poll, in offset order within a partition. Empty when
  // none came within the wait. A record is given again after a restart or `rewind` unless a
  // position past it was committed. A record damaged on disk comes as it is stored: who reads it
  // finds out (event::decode) and dead-letters it.
  virtual Result<std::vector<Record>> poll(const PollLimits& limits) = 0;

  // Makes `next` (one past the last processed record, a partition each) the group's durable
  // position.
  virtual Status commit(const std::vector<Position>& next) = 0;

  // Goes back to the committed position: what was polled and not committed comes again.
  virtual Status rewind() = 0;

  // Ends a waiting poll early, from any thread (shutdown). Later polls return at once.
  virtual void interrupt() = 0;
};

// Called exactly once an append, from a thread of the log, with the durable positions in batch
// order, or why nothing of the batch was kept. Must not block.
using AppendDone = std::function<void(Result<std::vector<Position>>)>;

class EventLog {
 public:
  virtual ~EventLog() = default;

  // Appends a batch, all or nothing. When `done` reports success the records survive kill -9 and
  // power loss. Returns at once. The queue in front of the disk is bounded: over it, `done` gets
  // kOverloaded (at once, from this thread); a log at its size limit gives kOverloaded too; a disk
  // that refuses gives kIo.
  virtual void append(std::vector<NewRecord> batch, AppendDone done) = 0;

  // A reader for `group`. Several consumers of one group in one process is a defect of the caller
  // for the embedded log.
  virtual Result<std::unique_ptr<Consumer>> consumer(const std::string& group) = 0;

  // How far `group` is behind, a row a partition. A group that never committed is behind by the
  // whole log.
  virtual Result<std::vector<PartitionLag>> lag(const std::string& group) = 0;

  // Ok when an append would be tried now; otherwise why not (disk, size limit, broker away). Cheap;
  // for /readyz.
  virtual Status ready() = 0;

  // Appends waiting for the disk or broker now.
  virtual size_t queue_depth() const = 0;

  // Refuses new appends, finishes those queued, releases files. Idempotent; the destructor calls
  // it.
  virtual void close() = 0;

  // The topic's name, e.g. "gpu-metadata".
  virtual const std::string& topic() const = 0;
};

// Appends and waits for the outcome. For tools and tests; a server uses the callback.
Result<std::vector<Position>> append_and_wait(EventLog& log, std::vector<NewRecord> batch);

}  // namespace ca4::log
