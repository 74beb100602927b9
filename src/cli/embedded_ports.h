// The ports on the embedded parts: SQLite files and a folder in the data directory.
#pragma once

#include "cli/ports.h"

namespace ca4::cli {

Result<std::unique_ptr<log::EventLog>> embedded_events(const Site& site, Roles roles);
Result<std::unique_ptr<log::EventLog>> embedded_dead_letters(const Site& site, bool writes);
Result<std::unique_ptr<store::DocumentStore>> embedded_store(const Site& site, bool read_only);
Result<std::unique_ptr<archive::Archive>> embedded_archive(const Site& site, bool read_only);

}  // namespace ca4::cli
