// Reads the two forms of an embedding: a JSON list of numbers, and base64 of little-endian float32.
// Internal to the parser.
#pragma once

#include <simdjson.h>

#include <span>
#include <vector>

#include "event/event.h"

namespace ca4::event {

// Both: on success `out` holds 1 to kDimMax finite floats. On refusal return false with `why.field`
// relative to the value ("[17]", or empty).
// `scratch` is working memory.
bool read_float_list(simdjson::ondemand::value value, std::span<float, kDimMax> scratch,
                     std::vector<float>& out, Refusal& why);
// Standard alphabet, padded (RFC 4648 section 4), no line breaks.
bool read_float_base64(simdjson::ondemand::value value, std::vector<float>& out, Refusal& why);

}  // namespace ca4::event
