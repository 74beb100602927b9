// The outbox in front of Kafka: where events wait on disk while it is away.
#pragma once

#include <memory>

#include "cli/ports.h"
#include "log/embedded_log.h"

namespace ca4::cli {

// `target` behind the outbox that the settings name, or `target` itself where they switch it off.
// For a process that accepts events. kConfig when the file is none of ours; kUnavailable when
// another process has it. Tells of the outbox in metrics, where there are some, and in the log.
Result<std::unique_ptr<log::EventLog>> spooled(const Site& site,
                                               std::unique_ptr<log::EventLog> target);

// The outbox's own log, to append to it while no processor runs.
Result<std::unique_ptr<log::EmbeddedLog>> open_outbox(const Site& site);

// The letters of events that the target refused for good when they came from the outbox. On this
// disk, as the target's own dead letters would refuse what it finds too large. To read: kNotFound
// when there are none.
Result<std::unique_ptr<log::EventLog>> open_outbox_letters(const Site& site, bool writes);

// kConfig when there is a file at `path` that can't be an outbox; says what to do about it.
Status check_outbox_file(const std::string& path);

}  // namespace ca4::cli
