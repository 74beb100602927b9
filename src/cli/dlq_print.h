// Dead letters as text: for people, and as JSON for programs.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "worker/dead_letters.h"

namespace ca4::cli {

// How many bytes of a value that is no event are shown.
inline constexpr size_t kHexBytesMax = 256;

// A line each; keys and reasons are cut to what a terminal is wide.
std::string table_head();
std::string table_row(const worker::DeadLetter& letter);

// Everything about a letter: the source, the headers, and the value as an event with the beginning
// of its embedding, or in hex when it is none.
std::string letter_text(const worker::DeadLetter& letter);

// One line of JSON, with a newline. `with_value` adds the headers and "event" (as consumers of the
// topic get it) or, when the value is no event, "value_hex" with its first kHexBytesMax bytes.
std::string letter_json(const worker::DeadLetter& letter, bool with_value);

struct LetterCounts {
  size_t letters = 0;
  size_t waiting = 0;  // not replayed yet
  std::map<std::string, size_t> by_stage;
};
std::string counts_text(const LetterCounts& counts);
std::string counts_json(const LetterCounts& counts);

}  // namespace ca4::cli
