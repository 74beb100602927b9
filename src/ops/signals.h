// Signals as events of one thread, not as interruptions of all.
#pragma once

#include <optional>

namespace ca4::ops {

enum class Signal { kStop, kReload };

// Blocks SIGTERM, SIGINT and SIGHUP for this thread and those it starts, and ignores SIGPIPE. Make
// it before any other thread; one a process.
class Signals {
 public:
  Signals();

  // The next signal: kStop for SIGTERM and SIGINT, kReload for SIGHUP; but kStop where that says
  // that the terminal which the process was started at is gone. Not under nohup.
  Signal wait();
  // The same, or none after `timeout_ms`.
  std::optional<Signal> wait_ms(int timeout_ms);

  // From now on SIGTERM and SIGINT end the process at once, as if nobody watched.
  void let_end();

 private:
  const bool ends_with_terminal_;
};

}  // namespace ca4::ops
