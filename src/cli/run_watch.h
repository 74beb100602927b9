// How `ca4 produce` shows a run while it lasts. The program has an admin port for that, the Python
// wheel has not: there these parts are not linked.
#pragma once

#include <memory>

#include "base/status.h"
#include "config/settings.h"
#include "producer/pipeline.h"
#include "producer/run_monitor.h"
#include "producer/transport.h"

namespace ca4::cli {

// What a run is seen by. All of it outlives the watch.
struct RunView {
  const config::Settings& settings;
  size_t images = 0;  // that the run was given
  const producer::Progress& progress;
  const producer::RunMonitor& monitor;
  producer::Transport& transport;
};

// Shows a run from its making to its end.
class RunWatch {
 public:
  virtual ~RunWatch() = default;
  // What the run is to send through, so that its requests are seen.
  virtual producer::Transport& transport() = 0;
};

using WatchRun = Result<std::unique_ptr<RunWatch>> (*)(const RunView& view);

}  // namespace ca4::cli
