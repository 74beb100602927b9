// What the operating system refused, as a Status.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4 {

// kIo: "PATH: No space left on device". `error` is one of errno's.
Status io_error(const std::string& path, int error = errno);

// The same with what was tried: "PATH: rename: No space left on device".
Status io_error(const std::string& path, std::string_view doing, int error = errno);

}  // namespace ca4
