// A small file that is written whole or not at all.
#pragma once

#include <string>

#include "base/status.h"

namespace ca4 {

// Makes `text` the file's content, durably: written beside it and renamed, so that whoever reads
// sees the old file or the new one, also after a crash. A new file is for its owner alone (0600);
// one that is there keeps owner and mode, but for what others may. kIo with the path; the old file
// then stays, unless only its folder could not be synced. One thread and process at a time.
Status replace_file(const std::string& path, const std::string& text);

}  // namespace ca4
