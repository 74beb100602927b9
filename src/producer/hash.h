// Files: their bytes, and the SHA-256 of them.
#pragma once

#include <string>

#include "base/status.h"

namespace ca4::producer {

// SHA-256 of a file's content as lower-case hex, read in pieces. kNotFound or kIo with the path.
Result<std::string> sha256_file_hex(const std::string& path);

// The whole file. kNotFound or kIo with the path; kTooLarge over `bytes_max`.
Result<std::string> read_file(const std::string& path, size_t bytes_max);

}  // namespace ca4::producer
