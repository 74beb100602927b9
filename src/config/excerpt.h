// A mistake in a text file, shown where it is.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ca4::config {

struct Place {
  size_t line = 0;    // from 1; 0: not in the file
  size_t column = 0;  // from 1, in code points
  friend auto operator<=>(const Place&, const Place&) = default;
};

// "FILE:LINE:COLUMN: message", the line of `text`, and a caret under the place, followed by `hint`
// when there is one; no trailing newline. Secrets in the line are masked, control characters
// replaced, a long line is cut.
std::string point_at(std::string_view file, std::string_view text, Place place,
                     std::string_view message, std::string_view hint);

}  // namespace ca4::config
