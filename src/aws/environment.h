// What surrounds a process, behind functions so that tests can make it up.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/status.h"

namespace ca4::aws {

// The value of an environment variable, if it is set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The value, empty where it is not set: AWS's own tools take the two for the same.
std::string value_of(const Environment& env, const std::string& name);

// Text of a small file (a token, a profile file). kNotFound when there is none, kIo when it can't
// be read, kTooLarge above 1 MiB: no such file. Messages name the path.
Result<std::string> read_small_file(const std::string& path);

}  // namespace ca4::aws
