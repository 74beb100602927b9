// Folders whose names survive power loss.
#pragma once

#include <string>

#include "base/status.h"

namespace ca4 {

// Syncs a folder: the names in it survive power loss from then on. kIo with the path.
Status sync_folder(const std::string& path);

// Makes a folder and those above it that are missing. Afterwards its name is durable, and so are
// the names of those that were made: a file that is synced in it can be found after power loss.
// That a folder is there proves nothing, it may be of a process that was killed before it synced
// the name; so the folder above is synced in any case, as far as it may be read. kIo with the path.
Status make_durable_folders(const std::string& path);

}  // namespace ca4
