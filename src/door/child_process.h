// A program that runs below this one, and what it prints.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace ca4::door {

// One thread at a time: the one that started it. The kernel ends the program when that thread ends,
// however it does.
class ChildProcess {
 public:
  // `arguments[0]` is a path, or a name that is looked up in PATH. kNotFound when there is no such
  // program.
  static Result<std::unique_ptr<ChildProcess>> start(const std::vector<std::string>& arguments);
  // SIGTERM; SIGKILL when it has not ended after five seconds.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // A whole line of its standard output or error without the end, within `timeout_ms`; an empty
  // text when there was none. A line longer than 64 KiB is cut there. Nothing once it has ended and
  // all its lines were read.
  std::optional<std::string> read_line(int timeout_ms);
  // Waits for its end; the exit code, or 128 and the signal.
  int wait();

 private:
  ChildProcess(pid_t pid, int fd) : pid_(pid), fd_(fd) {}

  pid_t pid_;
  int fd_;
  std::string pending_;
};

}  // namespace ca4::door
