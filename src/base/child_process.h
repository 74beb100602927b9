// A program that runs beside us and never outlives us.
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace ca4 {

// The file of a program as a shell finds it: a path, or a name that is looked up in PATH. Empty
// when there is none that may be run.
std::string find_program(const std::string& name);

// Started in a process group of its own, so that a terminal's Ctrl-C reaches only us and `stop`
// reaches its children too. If this process dies, also by kill -9, the whole group is ended.
// `start` and the destructor belong to one thread (the kernel ties the child to the thread that
// made it); `end` may come from any.
class ChildProcess {
 public:
  // `argv[0]` is looked up in PATH. Standard input is /dev/null; what it writes to standard output
  // and error is kept for `output`. kNotFound when there is no such program, kIo when the system
  // refuses.
  static Result<std::unique_ptr<ChildProcess>> start(const std::vector<std::string>& argv);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // How it ended, for people ("exit code 255", "signal 9 (Killed)"); none while it runs.
  std::optional<std::string> ended();

  // The newest of what it wrote, at most kOutputBytesMax.
  const std::string& output();
  // Of that, what came since the last call; waits up to `wait_ms` for it while there is none.
  std::string news(int wait_ms = 0);

  // SIGTERM to the group; it has ended when `ended` says so.
  void end();

  // SIGTERM to the group, after `grace_ms` SIGKILL; gone on return.
  void stop(int grace_ms);

  pid_t pid() const { return pid_; }

  // Reasons are a few lines, at most a Python traceback.
  static constexpr size_t kOutputBytesMax = 16 * 1024;

 private:
  ChildProcess() = default;
  bool has_ended();
  void collect();
  // Ends what is left of the group and the guard, and forgets the processes.
  void reap();

  pid_t pid_ = -1;    // also the group's
  pid_t guard_ = -1;  // ends the group when `leash_` closes, that is when we die
  int leash_ = -1;
  int output_fd_ = -1;
  std::string output_;
  std::string news_;
  std::optional<std::string> ended_;
  std::mutex mutex_;  // held while `pid_` may go to another process, and while it is signalled
};

}  // namespace ca4
