#include "ops/signals.h"

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

}  // namespace

Signals::Signals() {
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
  return number == SIGHUP ? Signal::kReload : Signal::kStop;
}

void Signals::let_end() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace ca4::ops
