#include "event/value_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ca4::event {
namespace {

bool looks_like_json(std::string_view value) {
  const size_t first = value.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && value[first] == '{';
}

}  // namespace

std::optional<uint64_t> parse_version(std::string_view text) {
  uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return version;
}

Result<EventView> ValueReader::read(std::string_view value, const Origin& origin) {
  if (!looks_like_json(value)) return decode(value);
  event_.ingested_at_us = origin.appended_at_us;
  Refusal why;
  if (!parser_.parse_wire(value, event_, why)) {
    return Status(Code::kCorruption, fmt::format("event in JSON: {}{}{}", why.field,
                                                 why.field.empty() ? "" : ": ", why.reason));
  }
  const auto accepted = static_cast<uint64_t>(std::max<int64_t>(event_.ingested_at_us, 0));
  event_.version = origin.version.value_or(accepted);
  return view_of(event_);
}

}  // namespace ca4::event
