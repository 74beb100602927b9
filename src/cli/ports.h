// The ports of a process, on the back ends that the settings name. A new back end is a file beside
// embedded_ports.cc and its line in ports.cc.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "archive/archive.h"
#include "base/clock.h"
#include "base/status.h"
#include "config/settings.h"
#include "log/event_log.h"
#include "store/document_store.h"

namespace ca4::ops {
class Metrics;
}

namespace ca4::cli {

// Who writes what: of an embedded log there is one writer, while any number of processes may read.
struct Roles {
  bool accepts = false;  // events are appended here
  bool works = false;    // documents, archive and dead letters are written here
  bool resends = false;  // a tool appends events that were there before; nothing ages meanwhile
};

// What ports are opened with. All of it must outlive them.
struct Site {
  const config::Settings& settings;
  const Clock& clock;
  ops::Metrics* metrics = nullptr;  // where back ends show themselves; none in a tool
};

struct Ports {
  std::unique_ptr<log::EventLog> events;
  std::unique_ptr<log::EventLog> dead_letters;
  std::unique_ptr<store::DocumentStore> store;
  std::unique_ptr<archive::Archive> archive;  // none where it is switched off
};

// Each makes what is missing, if its role is to write; with no role what is missing is kNotFound.
// Messages name the file or the server.
Result<std::unique_ptr<log::EventLog>> open_events(const Site& site, Roles roles);
Result<std::unique_ptr<log::EventLog>> open_dead_letters(const Site& site, bool writes);
// Read-only: kNotFound where there is no embedded store yet.
Result<std::unique_ptr<store::DocumentStore>> open_store(const Site& site, bool read_only);
// Read-only: kNotFound where there is no folder of an archive. An S3 bucket is not asked yet.
Result<std::unique_ptr<archive::Archive>> open_archive(const Site& site, bool read_only);

// What the roles need of all that.
Result<Ports> open_ports(const Site& site, Roles roles);

// The consumer groups of the event log, the one that writes the store first.
std::vector<std::string> reading_groups(const config::Settings& settings);

}  // namespace ca4::cli
