// For the parser's tests: one call from a payload's text to its outcome.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"

namespace ca4::event {

struct Outcome {
  bool accepted = false;
  Event event;
  Refusal why;
};

// Parses a copy that lies, as the contract demands, in front of kPaddingBytes of `padding`.
inline Outcome parse_text(std::string_view json, char padding = '}') {
  std::vector<char> bytes(json.size() + Parser::kPaddingBytes, padding);
  std::memcpy(bytes.data(), json.data(), json.size());
  Parser parser;
  Outcome outcome;
  outcome.accepted = parser.parse({bytes.data(), json.size()}, outcome.event, outcome.why);
  return outcome;
}

inline Event accepted_event(std::string_view json) {
  Outcome outcome = parse_text(json);
  EXPECT_TRUE(outcome.accepted) << json << "\n" << outcome.why.field << ": " << outcome.why.reason;
  return outcome.event;
}

}  // namespace ca4::event
