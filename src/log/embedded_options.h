// What can be set about an embedded log.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ca4::log {

struct EmbeddedLogOptions {
  // kWriter appends, reads and deletes; one a log. kReader reads and commits beside a writer of
  // another process, or without one; a log that does not exist yet is empty until it does.
  enum class Mode { kWriter, kReader };

  std::string dir = {};  // made by a writer where missing
  // The records file exactly, in place of DIR/<topic>.db; `dir` then has no effect. What belongs to
  // it lies beside it: FILE-offsets, FILE-lock.
  std::string file = {};
  std::string topic = "gpu-metadata";
  Mode mode = Mode::kWriter;
  // Groups that must see every record, also before they first read: retention keeps what they have
  // not committed. A group that ever opened a consumer here is known anyway.
  std::vector<std::string> groups = {};

  // Records waiting for the disk: 64 clients with a batch of 64 large events each.
  size_t queue_bytes_max = 64U << 20;
  // Bounds the queue's own overhead where records are tiny.
  size_t queue_records_max = 65'536;
  // One transaction; beyond it SQLite's cost a row no longer falls and latency only grows.
  size_t group_bytes_max = 1U << 20;
  // How long a group waits to become as large as the last one, under concurrent load only.
  int64_t linger_us = 500;

  // Size of the records file (used pages; the write-ahead log, at most kWalBytesMax, comes on top)
  // at which appends are refused. About a million events of 2048 floats.
  int64_t bytes_max = int64_t{8} << 30;
  // What every known group has committed goes when the file is larger than this (0: see
  // `retention_when_full`), or ...
  int64_t retention_bytes = 0;
  // ... when it is older than this. 0: no limit by age. A week: time to notice and to replay.
  int64_t retention_age_s = 7 * 86'400;
  // Whether a log that is seven eighths full deletes what every group has committed. False: it
  // stays full, and appends are refused, until a person makes room.
  bool retention_when_full = true;
  // What the refusal of a full log tells the operator to do. Empty: what helps an event log.
  std::string full_advice = {};
  // How often retention looks. Each look deletes at most kRetentionRecordsMax records, and looks
  // again after the next group when that was not enough.
  int64_t retention_interval_ms = 1000;

  // How often a waiting consumer looks for records that another process appended: far below the
  // latency anybody notices, and 40 look-ups a second cost nothing.
  int64_t reader_poll_ms = 25;

  // The file's limit in pages as SQLite enforces it, for tests of a full disk; 0: none.
  int64_t pages_max = 0;
};

// The write-ahead log goes back into the file when it is this large: 4 MiB keep that pause near
// 5 ms; the pause comes after the group's callers are answered.
inline constexpr int64_t kCheckpointBytes = 4 << 20;
// Readers, or a failing disk, can hold a checkpoint up; from here on appends wait for it or fail.
inline constexpr int64_t kWalBytesMax = 64 << 20;
// A file with so much free space and no more than that in use is rewritten: the rest of an outbox
// after an outage. Less free space nobody misses; what is in use is copied, in a few milliseconds.
inline constexpr int64_t kShrinkFreeBytes = 16 << 20;
inline constexpr int64_t kShrinkUsedBytesMax = 1 << 20;
// One step of retention: a few milliseconds.
inline constexpr int64_t kRetentionRecordsMax = 1024;

}  // namespace ca4::log
