// Acknowledged events that other settings left in this data directory.
#pragma once

#include <string>
#include <vector>

#include "config/settings.h"

namespace ca4::cli {

// What waits where nobody takes it on, as the settings are now: in the outbox while it is not used,
// in the embedded log while there is Kafka, and in those of other topics that no process has. A
// line for a person each, with what sends it on. Reads only; a file that can't be read is passed
// over, as is one of something else.
std::vector<std::string> left_behind(const config::Settings& settings);

}  // namespace ca4::cli
