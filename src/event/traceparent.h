// The trace an event belongs to: the `traceparent` of W3C Trace Context.
#pragma once

#include <string_view>

namespace ca4::event {

// The name of the HTTP header and of the record header.
inline constexpr const char* kTraceparent = "traceparent";

// Whether `text` is a traceparent (W3C Trace Context, section 3.2): version, trace-id, parent-id
// and flags in lower-case hex, neither id all zeros. A later version than 00 may have more behind
// them.
bool is_traceparent(std::string_view text);

}  // namespace ca4::event
