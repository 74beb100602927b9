// `ca4 produce` and who watches it.
#pragma once

#include <memory>

#include "cli/run_watch.h"
#include "cli/subcommand.h"

namespace ca4::cli {

// The command with settings and flags of the admin port, and each run under `watch`.
std::unique_ptr<Subcommand> make_produce_with(WatchRun watch);

}  // namespace ca4::cli
