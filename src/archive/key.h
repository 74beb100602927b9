// What a key may be, for every archive alike.
#pragma once

#include <string_view>

#include "base/status.h"

namespace ca4::archive {

// Longest key, in bytes: S3's limit. Between two '/' a file system's 255 count.
inline constexpr size_t kKeyBytesMax = 1024;
inline constexpr size_t kKeyPartBytesMax = 255;

// kInvalidArgument unless `key` is relative, of parts of [A-Za-z0-9._=-] joined by single '/', none
// of which begins with '.' (so neither ".." nor our own unfinished files).
Status check_key(std::string_view key);

}  // namespace ca4::archive
