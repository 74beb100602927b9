// Record headers as they lie in the embedded log's `headers` column.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "log/event_log.h"

namespace ca4::log {

// For each header in order: name, then value; each as a little-endian 32-bit length and the bytes.
std::string encode_headers(const Headers& headers);

// kCorruption when the lengths do not fit the bytes.
Result<Headers> decode_headers(std::string_view bytes);

}  // namespace ca4::log
