#include "door/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <thread>

namespace ca4::door {
namespace {

constexpr size_t kLineBytesMax = 64 * 1024;
constexpr auto kTermGrace = std::chrono::seconds(5);

std::string reason(int error) {
  return std::generic_category().message(error);
}

// Between fork and exec, where only what is async-signal-safe may be called. Tells `errors` why
// exec failed.
[[noreturn]] void become(char* const* argv, int output, int errors) {
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  execvp(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const ssize_t told = write(errors, &error, sizeof error);
  _exit(127);
}

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(
    const std::vector<std::string>& arguments) {
  std::array<int, 2> output{};
  std::array<int, 2> errors{};
  if (pipe2(output.data(), O_CLOEXEC) != 0) return Status(Code::kIo, reason(errno));
  if (pipe2(errors.data(), O_CLOEXEC) != 0) return Status(Code::kIo, reason(errno));
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) become(argv.data(), output[1], errors[1]);
  const int fork_error = errno;
  close(output[1]);
  close(errors[1]);
  int error = 0;
  // Closed by exec; what can be read is its failure.
  const bool failed = pid < 0 || read(errors[0], &error, sizeof error) > 0;
  close(errors[0]);
  if (!failed) return std::unique_ptr<ChildProcess>(new ChildProcess(pid, output[0]));
  close(output[0]);
  if (pid < 0) return Status(Code::kIo, reason(fork_error));
  waitpid(pid, nullptr, 0);
  return Status(error == ENOENT ? Code::kNotFound : Code::kIo,
                fmt::format("{}: {}", arguments.front(), reason(error)));
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    const auto deadline = std::chrono::steady_clock::now() + kTermGrace;
    while (pid_ > 0 && std::chrono::steady_clock::now() < deadline) {
      if (waitpid(pid_, nullptr, WNOHANG) != 0) pid_ = 0;
      if (pid_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      wait();
    }
  }
  close(fd_);
}

std::optional<std::string> ChildProcess::read_line(int timeout_ms) {
  std::array<char, 4096> piece{};
  while (true) {
    const size_t end = pending_.find('\n');
    if (end != std::string::npos || pending_.size() >= kLineBytesMax) {
      std::string line = pending_.substr(0, std::min(end, kLineBytesMax));
      pending_.erase(0, std::min(end + 1, pending_.size()));
      return line;
    }
    pollfd wanted{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&wanted, 1, timeout_ms) <= 0) return std::string();
    const ssize_t count = read(fd_, piece.data(), piece.size());
    if (count <= 0) break;
    pending_.append(piece.data(), static_cast<size_t>(count));
  }
  if (pending_.empty()) return std::nullopt;
  return std::exchange(pending_, {});
}

int ChildProcess::wait() {
  int status = 0;
  while (pid_ > 0 && waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace ca4::door
