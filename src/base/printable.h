// Text of others, as file names, keys and answers are, for a terminal.
#pragma once

#include <string>
#include <string_view>

namespace ca4 {

// `text` on one line that can't steer a terminal: control characters (C0, DEL and C1) and bytes
// that are no UTF-8 as \xNN.
std::string printable(std::string_view text);

// The same of what may have several lines: line ends and tabs stay.
std::string printable_lines(std::string_view text);

}  // namespace ca4
