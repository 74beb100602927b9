#include "ops/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace ca4::ops {
namespace {

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

// False without one, and when it has been closed.
bool has_terminal() {
  const int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

// As nohup has it.
bool hangups_are_ignored() {
  struct sigaction now = {};
  return sigaction(SIGHUP, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

Signals::Signals() : ends_with_terminal_(!hangups_are_ignored() && has_terminal()) {
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Signal Signals::wait() {
  while (true) {
    if (const auto signal = wait_ms(60'000)) return *signal;
  }
}

std::optional<Signal> Signals::wait_ms(int timeout_ms) {
  const sigset_t set = watched();
  const timespec timeout{timeout_ms / 1000, (timeout_ms % 1000) * 1'000'000L};
  const int number = sigtimedwait(&set, nullptr, &timeout);
  if (number < 0) return std::nullopt;
  if (number != SIGHUP) return Signal::kStop;
  return ends_with_terminal_ && !has_terminal() ? Signal::kStop : Signal::kReload;
}

void Signals::let_end() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace ca4::ops
