// What the program says while it runs: one line an event on standard error.
#pragma once

#include <string>

#include "base/status.h"

namespace ca4::ops {

// Sets spdlog's default logger, which every part uses. `level` is trace, debug, info, warn, error
// or off; `format` is "text" (a readable line) or "json" (an object with time, level, message).
// Call before threads start; the last call holds. kInvalidArgument for another word.
Status setup_logging(const std::string& level, const std::string& format);

}  // namespace ca4::ops
