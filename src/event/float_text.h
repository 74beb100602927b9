// float32 as JSON text. Pure functions.
#pragma once

#include <cstddef>
#include <span>

namespace ca4::event {

// Room that the text of a float32 and the comma behind it need at most; and while it is written.
inline constexpr size_t kFloatTextBytesMax = 24;

// Writes the shortest text that reads back to the same float32 for each of these, and a comma
// behind each; always with a point or an exponent ("1.0", "1e+10"), so that no consumer takes it
// for an integer. `values` must be finite. `to` has room for kFloatTextBytesMax for each; returns
// one past the last comma.
char* write_float_texts(char* to, std::span<const float> values);

}  // namespace ca4::event
