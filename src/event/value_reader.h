// Reads an event out of a log record's value, in whichever of its two forms it stands there: the
// binary record of this program, or the JSON of the wire contract.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "event/event.h"

namespace ca4::event {

// The record header with an event's version, in decimal: JSON has no field for it.
inline constexpr const char* kVersionHeader = "ca4_version";

// What a record says beside its value. Of use for JSON only; the binary form has it all inside.
struct Origin {
  std::optional<uint64_t> version = {};  // kVersionHeader, where there is one
  int64_t appended_at_us = 0;
};

// The version that a header's text means; none for a text that is no such number.
std::optional<uint64_t> parse_version(std::string_view text);

// Keeps its scratch memory between calls. Not thread-safe: one a thread.
class ValueReader {
 public:
  // A view that is valid until the next call and as long as `value` is. JSON is checked as POST
  // checks it. Where JSON has no `ingested_at` it is taken for accepted when it was appended; where
  // no version came beside it the version is the time of acceptance in microseconds: the same value
  // in the same place always gives the same event. kCorruption says why it is none.
  Result<EventView> read(std::string_view value, const Origin& origin);

 private:
  Parser parser_;
  Event event_;
};

}  // namespace ca4::event
