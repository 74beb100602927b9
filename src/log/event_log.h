// The event log: where an acknowledged event first becomes durable, and from where workers take it.
// Records are opaque here. One topic a log; one or more partitions; offsets grow by append order
// within a partition and are never reused. All methods of EventLog are thread-safe; a Consumer
// belongs to one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace ca4::log {

using Headers = std::vector<std::pair<std::string, std::string>>;

// The value of the first header of that name; null without one.
const std::string* find_header(const Headers& headers, std::string_view name);

struct NewRecord {
  std::string key;
  std::string value;
  Headers headers;
};

// Not a partition of the log: the record is durable in the outbox in front of it, and on its way.
inline constexpr int32_t kOutboxPartition = -1;

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
  Headers headers;
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

struct PartitionState {
  int32_t partition = 0;
  int32_t leader = 0;  // broker id; -1: none, nothing can be written or read
  size_t replicas = 1;
  size_t in_sync = 1;
};

// Where a topic lives.
struct Description {
  std::vector<std::string> brokers;  // "1 at kafka:9092"; none where the log is files of ours
  std::vector<PartitionState> partitions;
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

  // One past the last offset of `partition` that polls came to, where they came to its end. Offsets
  // can end with what is no record (the marks of transactions), which only this tells. None where
  // the end was not seen yet, or each record's own offset says it all.
  virtual std::optional<int64_t> end_seen(int32_t /*partition*/) const { return std::nullopt; }
};

// Where a scan begins: the oldest record there is, or whatever is appended from now on.
enum class From { kOldest, kEnd };

inline constexpr const char* kNobody = "";

// Called exactly once an append, from a thread of the log, with the durable positions in batch
// order (kOutboxPartition for what waits in an outbox), or why nothing of the batch was kept. Must
// not block.
using AppendDone = std::function<void(Result<std::vector<Position>>)>;

// Which way appends go where an outbox stands in front of the log (see SpooledLog).
enum class OutboxState { kDirect, kTurning, kSpooling, kReturning };

// "direct", "turning", "spooling", "returning".
std::string_view name_of(OutboxState state);

// An outbox at one moment; counts are since the process started.
struct OutboxStatus {
  OutboxState state = OutboxState::kDirect;
  int64_t state_since_us = 0;
  int64_t waiting_records = 0;
  std::optional<int64_t> oldest_us;  // when the oldest of them was appended, if any waits
  int64_t bytes_used = 0;            // of the file; what was delivered counts until it is deleted
  int64_t bytes_max = 0;             // from here on nothing more is taken
  uint64_t spooled = 0;              // records taken into the outbox
  uint64_t given_up = 0;   // of them, those the log had too, without an answer: maybe twice
  uint64_t forwarded = 0;  // records that went on from there
  uint64_t refused = 0;    // records that were refused for good, kept as dead letters
  uint64_t turns = 0;      // how often appends had to go to the outbox
  std::string last_error;  // why they had to, or why they still have to
};

class EventLog {
 public:
  virtual ~EventLog() = default;

  // Appends a batch, all or nothing. When `done` reports success the records survive kill -9 and
  // power loss. Returns at once. The queue in front of the disk is bounded: over it, `done` gets
  // kOverloaded (at once, from this thread); a log at its size limit gives kOverloaded too; a disk
  // that refuses gives kIo.
  virtual void append(std::vector<NewRecord> batch, AppendDone done) = 0;

  // kTooLarge for a record that no append will ever be taken with, whatever else is in it, so that
  // who appends batches can leave it out. Ok says only that nothing is known against it. Cheap, but
  // for records near the limit; does not wait.
  virtual Status admits(const NewRecord& /*record*/) const { return Status::ok(); }

  // A reader for `group`. Several consumers of one group in one process is a defect of the caller
  // for the embedded log.
  virtual Result<std::unique_ptr<Consumer>> consumer(const std::string& group) = 0;

  // Reads for nobody: as a consumer, but without a group, so that nothing is kept back or moved for
  // it; its commit is kInvalidArgument, its rewind goes back to where it began. An empty poll does
  // not say that the end is reached: `read_to_end` knows.
  virtual Result<std::unique_ptr<Consumer>> scan(From from) = 0;

  // The newest record of each partition that has one.
  virtual Result<std::vector<Record>> newest() = 0;

  // How far `group` is behind, a row a partition. A group that never committed is behind by the
  // whole log; so is kNobody, which never does.
  virtual Result<std::vector<PartitionLag>> lag(const std::string& group) = 0;

  // Ok when an append would be tried now; otherwise why not (disk, size limit, broker away). Cheap;
  // for /readyz.
  virtual Status ready() = 0;

  // For people who look what is wrong. Asks the brokers, where there are any, for at most a few
  // seconds; kNotFound when they have no such topic. The default is a log in files: one partition.
  virtual Result<Description> describe() { return Description{{}, {PartitionState{}}}; }

  // Appends waiting for the disk or broker now.
  virtual size_t queue_depth() const = 0;

  // The outbox in front of this log; none where there is none.
  virtual std::optional<OutboxStatus> outbox() const { return std::nullopt; }

  // Refuses new appends, finishes those queued, releases files. Idempotent; the destructor calls
  // it.
  virtual void close() = 0;

  // The topic's name, e.g. "gpu-metadata".
  virtual const std::string& topic() const = 0;
};

// Appends and waits for the outcome. For tools and tests; a server uses the callback.
Result<std::vector<Position>> append_and_wait(EventLog& log, std::vector<NewRecord> batch);

// The next records of a log, a bounded number; empty at its end.
using NextRecords = std::function<Result<std::vector<Record>>()>;

// How long a log that has more records may give none before reading it ends with kUnavailable:
// longer than brokers take to choose a new leader, or a group to give a lost reader's partitions
// away.
inline constexpr int64_t kStallMsMax = 60'000;

// Polls `consumer` up to the end of each of `rows`, the lag of its group. `consumer` must outlive
// what is returned.
NextRecords read_until(Consumer& consumer, const std::vector<PartitionLag>& rows,
                       int64_t stall_ms_max = kStallMsMax);

// Scans `log` from its oldest record to what is its end at this call. `log` must outlive what is
// returned.
Result<NextRecords> read_to_end(EventLog& log, int64_t stall_ms_max = kStallMsMax);

}  // namespace ca4::log
