// What the program says while it runs: one line an event on standard error.
#pragma once

#include <string>

#include "base/status.h"

namespace ca4::ops {

// Sets spdlog's default logger, which every part uses. `level` is trace, debug, info, warn, error
// or off; `format` is "text" (a readable line) or "json" (an object with time, level, message).
// Either has the fields of the LogContext behind them, and no message is more than one line.
// Call before threads start; the last call holds. kInvalidArgument for another word.
Status setup_logging(const std::string& level, const std::string& format);

// The level in force, as setup_logging takes it. Thread-safe.
std::string log_level();

// Another level from now on; `who` asked for it, which is logged whichever of the two levels shows
// less. kInvalidArgument for another word. Thread-safe.
Status set_log_level(const std::string& level, const std::string& who);

}  // namespace ca4::ops
