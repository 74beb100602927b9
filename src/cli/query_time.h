// Points in time as people type them.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace ca4::cli {

// Unix microseconds of an RFC 3339 time, or of "how long ago": a whole number and one of s, m, h,
// d, w, as in "15m" or "2d". kInvalidArgument says what is expected.
Result<int64_t> parse_when(std::string_view text, int64_t now_us);

}  // namespace ca4::cli
