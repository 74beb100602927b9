// The suites of `ca4 verify`. Each adds its checks to a list, those that depend on one another in
// order: what can't be checked because of a failure before is left out.
#pragma once

#include <cstdint>
#include <string>

#include "verify/backends.h"
#include "verify/checklist.h"

namespace ca4::verify {

struct Processor {
  std::string url;           // "http://127.0.0.1:8000"
  std::string token;         // empty: none
  std::string ca_file = {};  // whose authorities are trusted; empty: the system's
};

// Folders and their disks, clock, processor, token, and whether log, store and archive are there.
// Nothing is left behind. What only the caller knows (configuration, tunnel) it has checked itself
// before.
struct Folder {
  std::string name;  // "archive"
  std::string path;
  std::string setting;  // that names another
};
struct PreflightOptions {
  Processor processor;
  Folder data_dir;
  // What may be on disks of its own. One that is on data_dir's is checked with that.
  std::vector<Folder> folders;
  std::string version;  // ours
};
void preflight(Checklist& list, const PreflightOptions& options, const Backends& backends);

// Brokers, topics, replicas, a marker in and out again, lag. `topic` and `dead_letter_topic` are
// for messages.
struct LogOptions {
  std::string topic;
  std::string dead_letter_topic;
};
void kafka(Checklist& list, const LogOptions& options, const Backends& backends);

// The store answers, has its indexes, and writes, reads and removes a marker.
void db(Checklist& list, const Backends& backends);

// The same of the archive.
void archive(Checklist& list, const Backends& backends);

// A marked event all the way: sent to the processor, seen in the log, in the store, in the archive,
// and removed from the last two; the log keeps it. With the workers elsewhere it is followed until
// they are past it, and its document stays for `db` to remove.
enum class Hop { kLog, kDatabase, kArchive };
struct WorkflowOptions {
  Processor processor;
  Hop until = Hop::kArchive;
  int64_t archive_linger_ms = 0;  // how long the archiver may hold an event back
};
void workflow(Checklist& list, const WorkflowOptions& options, const Backends& backends);

}  // namespace ca4::verify
