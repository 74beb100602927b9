#include "cli/query_time.h"

#include <fmt/format.h>

#include <charconv>

#include "base/clock.h"

namespace ca4::cli {
namespace {

int64_t unit_seconds(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 86'400;
    case 'w':
      return 7 * 86'400;
    default:
      return 0;
  }
}

// Longer ago than anything was stored; keeps the arithmetic in range.
constexpr int64_t kAgoSecondsMax = 100 * 366 * int64_t{86'400};

}  // namespace

Result<int64_t> parse_when(std::string_view text, int64_t now_us) {
  if (const Result<int64_t> time = parse_rfc3339(text)) return time;
  const Status wrong(Code::kInvalidArgument,
                     fmt::format("'{}': expected a time as 2026-11-23T18:00:00Z, or how long ago as"
                                 " 30s, 15m, 1h, 2d or 1w",
                                 text));
  int64_t amount = 0;
  const char* const end = text.data() + text.size();
  const auto [unit, error] = std::from_chars(text.data(), end, amount);
  if (error != std::errc() || unit + 1 != end || amount < 0) return wrong;
  const int64_t seconds = unit_seconds(*unit);
  if (seconds == 0 || amount > kAgoSecondsMax / seconds) return wrong;
  return now_us - amount * seconds * 1'000'000;
}

}  // namespace ca4::cli
