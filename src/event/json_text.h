// Pieces of JSON text (RFC 8259) that both the parser and the wire format need. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ca4::event {

// Appends `text`, valid UTF-8, as a quoted JSON string with the fewest escapes: only what RFC 8259
// section 7 demands. Equal strings give equal bytes, however the client had escaped them.
void append_json_string(std::string& out, std::string_view text);

// Whether `token` is exactly one number of the JSON grammar (RFC 8259 section 6): no NaN, no plus
// sign, no leading zeros.
bool is_json_number(std::string_view token);

// The double nearest to the JSON number that `token` begins with; infinite where that is too large.
// What simdjson 3.0.1, Debian 12's, says instead is wrong for many numbers of more digits than fit
// 64 bits: 0.145500160753726931472 is 0.016 to it.
double nearest_double(std::string_view token);

// Whether `token`, a JSON number, is finite as a double.
bool is_finite_number(std::string_view token);

// `text` cut to at most `bytes_max` bytes at a UTF-8 character boundary, for error messages.
std::string_view excerpt(std::string_view text, size_t bytes_max);

}  // namespace ca4::event
