// Copies a JSON value out of a payload: checked completely, without whitespace. Internal to the
// parser: the only place, with embedding.h, where simdjson's types are seen outside parse.cc.
#pragma once

#include <simdjson.h>

#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"

namespace ca4::event {

// Members of an ordinary object, gpu_hardware among them.
inline constexpr size_t kKeysUsual = 16;

// `why` for what simdjson found wrong with the syntax. Returns false.
bool refuse_syntax(Refusal& why, simdjson::error_code error);
// `why` for content that is JSON but not what the contract asks for. Returns false.
bool refuse_content(Refusal& why, std::string reason);

// The value's own text, from its first byte to its last: a whole scalar, or the opening bracket.
std::string_view token_of(simdjson::ondemand::value& value);
// The same of simdjson's raw token, which ends where the next one begins.
std::string_view trim_token(std::string_view raw);

// Puts a member or element before what `why.field` already says: "extra" before "notes[3]" is
// "extra.notes[3]".
void prefix_field(Refusal& why, std::string_view key);
void prefix_index(Refusal& why, size_t index);

// Appends `value`, which stands at nesting level `depth`, as compact JSON. The on-demand interface
// checks only what it is asked for, so everything is walked: every string's escapes, every number's
// grammar, every literal. Strings come out with the fewest escapes, numbers as the client wrote
// them. Refuses nesting deeper than kDepthMax, a name twice in one object, and numbers that are
// infinite as a double. On refusal returns false with `why.field` relative to `value`.
bool copy_value(simdjson::ondemand::value value, size_t depth, std::string& out, Refusal& why);

// Whether two of `keys` are equal; then fills `why`. Reorders `keys`.
bool has_duplicate(std::vector<std::string_view>& keys, Refusal& why);

}  // namespace ca4::event
