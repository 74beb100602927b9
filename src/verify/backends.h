// What the suites look at, and how it is reached. Opening is part of a check: it may fail or hang.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive.h"
#include "base/status.h"
#include "log/event_log.h"
#include "store/document_store.h"

namespace ca4::verify {

inline constexpr const char* kElsewhere =
    "the workers', out of sight here: no MONGO_URI, and no document in the data directory";

template <class Port>
using Open = std::function<Result<std::shared_ptr<Port>>()>;

// Each function may be called from any thread and uses nothing that the process could destroy while
// it runs.
struct Backends {
  Open<log::EventLog> events;        // to read
  Open<log::EventLog> events_write;  // none where only the processor may write (the embedded log)
  Open<log::EventLog> dead_letters;
  Open<store::DocumentStore> store;  // to write, but never made where there is none
  Open<archive::Archive> archive;    // none where it is switched off
  std::vector<std::string> groups;   // of the event log; the first is the one that writes the store
  std::string archive_group;         // the one that writes the archive
  // Workers of other machines read the log, and their store and archive are out of sight here.
  bool workers_elsewhere = false;

  // What to do where `events` can't be opened; `kafka` for a log that is not in files here.
  const char* log_fix(const char* kafka) const {
    return events_write ? kafka
                        : "name the data directory that `ca4 up` or `ca4 serve` runs on "
                          "(--data-dir), as a user who may read it";
  }
};

// What a check that opens a port leaves to those after it.
template <class Port>
using Slot = std::shared_ptr<std::shared_ptr<Port>>;

template <class Port>
Slot<Port> make_slot() {
  return std::make_shared<std::shared_ptr<Port>>();
}

template <class Port>
Status fill(const Open<Port>& open, const Slot<Port>& slot) {
  Result<std::shared_ptr<Port>> opened = open();
  if (!opened) return opened.status();
  *slot = std::move(*opened);
  return Status::ok();
}

}  // namespace ca4::verify
