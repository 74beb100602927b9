#include "base/clock.h"

#include <fmt/format.h>

#include <chrono>

namespace ca4 {
namespace {

// Takes exactly `digits` decimal digits off the front; -1 when they are not there.
int take_number(std::string_view& text, size_t digits) {
  int value = 0;
  if (text.size() < digits) return -1;
  for (size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_char(std::string_view& text, std::string_view allowed) {
  if (text.empty() || allowed.find(text.front()) == std::string_view::npos) return false;
  text.remove_prefix(1);
  return true;
}

// "YYYY-MM-DD"
bool take_date(std::string_view& text, std::chrono::year_month_day& date) {
  const int year = take_number(text, 4);
  if (year < 0 || !take_char(text, "-")) return false;
  const int month = take_number(text, 2);
  if (month < 0 || !take_char(text, "-")) return false;
  const int day = take_number(text, 2);
  date = std::chrono::year_month_day(std::chrono::year(year),
                                     std::chrono::month(static_cast<unsigned>(month)),
                                     std::chrono::day(static_cast<unsigned>(day)));
  return day >= 0 && date.ok();
}

// "hh:mm" in minutes; -1 when it is none.
int take_hours_minutes(std::string_view& text) {
  const int hours = take_number(text, 2);
  if (hours < 0 || hours > 23 || !take_char(text, ":")) return -1;
  const int minutes = take_number(text, 2);
  return minutes < 0 || minutes > 59 ? -1 : hours * 60 + minutes;
}

// ".123…" in microseconds, or nothing; -1 for a point without digits.
int take_fraction_us(std::string_view& text) {
  if (!take_char(text, ".")) return 0;
  int fraction_us = 0;
  int unit_us = 100'000;
  bool any = false;
  for (int digit = 0; (digit = take_number(text, 1)) >= 0; unit_us /= 10) {
    fraction_us += digit * unit_us;
    any = true;
  }
  return any ? fraction_us : -1;
}

// "Z" or "+hh:mm" in minutes east of Greenwich.
bool take_offset(std::string_view& text, int& east_minutes) {
  east_minutes = 0;
  if (take_char(text, "Zz")) return true;
  const bool west = !text.empty() && text.front() == '-';
  if (!take_char(text, "+-")) return false;
  const int minutes = take_hours_minutes(text);
  east_minutes = west ? -minutes : minutes;
  return minutes >= 0;
}

}  // namespace

int64_t SystemClock::now_us() const {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  return duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string format_rfc3339(int64_t unix_us) {
  using namespace std::chrono;
  const sys_time<microseconds> t{microseconds{unix_us}};
  const auto day = floor<days>(t);
  const year_month_day date{day};
  const hh_mm_ss time{t - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     time.hours().count(), time.minutes().count(), time.seconds().count(),
                     time.subseconds().count());
}

std::string unix_seconds_text(int64_t unix_us) {
  const uint64_t magnitude =
      unix_us < 0 ? 0 - static_cast<uint64_t>(unix_us) : static_cast<uint64_t>(unix_us);
  return fmt::format("{}{}.{:06}", unix_us < 0 ? "-" : "", magnitude / 1'000'000,
                     magnitude % 1'000'000);
}

Result<int64_t> parse_rfc3339(std::string_view text) {
  const auto wrong = [whole = text](std::string_view expected) {
    return Status(Code::kInvalidArgument,
                  fmt::format("'{}' is no RFC 3339 time: {}", whole, expected));
  };
  std::chrono::year_month_day date;
  if (!take_date(text, date)) return wrong("expected a date as 2026-11-23");
  if (!take_char(text, "Tt ")) return wrong("expected 'T' after the date");
  const int minutes = take_hours_minutes(text);
  if (minutes < 0 || !take_char(text, ":")) return wrong("expected a time as 18:58:17");
  const int seconds = take_number(text, 2);
  if (seconds < 0 || seconds > 60) return wrong("expected a time as 18:58:17");
  const int fraction_us = take_fraction_us(text);
  if (fraction_us < 0) return wrong("expected digits after the point");
  int east_minutes = 0;
  if (!take_offset(text, east_minutes) || !text.empty()) {
    return wrong("expected it to end in 'Z' or an offset as +01:00");
  }
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const int64_t all_seconds = days * 86'400 + int64_t{minutes - east_minutes} * 60 + seconds;
  return all_seconds * 1'000'000 + fraction_us;
}

}  // namespace ca4
