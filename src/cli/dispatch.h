// From the command line to the subcommand that does the work.
#pragma once

#include <span>

#include "cli/subcommand.h"

namespace ca4::cli {

// Runs the subcommand that `argv` names and returns the process exit code. --help, --version and
// `help` are answered here; a mistake gives one line on standard error with a hint, and 2; standard
// output that can't be written gives one line too, and 1.
int dispatch(std::span<const Entry> entries, int argc, const char* const* argv);

}  // namespace ca4::cli
