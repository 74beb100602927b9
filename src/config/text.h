// Pieces of a text.
#pragma once

#include <cstddef>
#include <string_view>

namespace ca4::config {

// A line by its number from 1, without its end ("\n" or "\r\n"); empty where there is none.
inline std::string_view line_of(std::string_view text, size_t number) {
  for (size_t n = 1; n < number; ++n) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
  }
  std::string_view line = text.substr(0, text.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Without blanks and tabs at its ends.
inline std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

}  // namespace ca4::config
