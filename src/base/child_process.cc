#include "base/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/io_error.h"

namespace ca4 {
namespace {

bool is_program(const std::string& file) {
  struct stat info{};
  return ::stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(file.c_str(), X_OK) == 0;
}

// From here to exec or _exit: only what is safe between fork and exec of a process with threads.

// Signals as a fresh program expects them; ours are blocked, and SIGPIPE is ignored.
void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);
}

[[noreturn]] void become(const char* file, char* const* argv, int output, pid_t parent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it died before the line above
  const int nothing = ::open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  reset_signals();
  execv(file, argv);
  _exit(127);
}

// Waits until the leash's other end closes, then ends the group. For the child's own children: the
// kernel's way (PR_SET_PDEATHSIG) reaches the child alone.
[[noreturn]] void guard(int leash, pid_t group) {
  setpgid(0, 0);
  dup2(leash, STDIN_FILENO);
  close_range(STDOUT_FILENO, ~0U, 0);
  reset_signals();
  char nothing = 0;
  while (::read(STDIN_FILENO, &nothing, 1) < 0 && errno == EINTR) {
  }
  kill(-group, SIGTERM);
  poll(nullptr, 0, 1'000);
  kill(-group, SIGKILL);
  _exit(0);
}

struct Pipe {
  std::array<int, 2> ends{-1, -1};
  ~Pipe() {
    for (const int end : ends) {
      if (end >= 0) ::close(end);
    }
  }
  bool open() { return pipe2(ends.data(), O_CLOEXEC) == 0; }
  int take(size_t end) { return std::exchange(ends.at(end), -1); }
};

}  // namespace

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return is_program(name) ? name : "";
  const char* path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody changes it
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    const std::string file = fmt::format("{}/{}", rest.substr(0, colon), name);
    if (colon > 0 && is_program(file)) return file;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return {};
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::vector<std::string>& argv) {
  const std::string file = find_program(argv.at(0));
  if (file.empty()) return Status(Code::kNotFound, argv.at(0) + ": no such program in PATH");
  std::vector<char*> words;
  for (const std::string& word : argv) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  Pipe output;
  Pipe leash;
  if (!output.open() || !leash.open()) return io_error("pipe");
  std::unique_ptr<ChildProcess> child(new ChildProcess());
  const pid_t self = getpid();
  child->pid_ = fork();
  if (child->pid_ < 0) return io_error("fork");
  if (child->pid_ == 0) become(file.c_str(), words.data(), output.ends[1], self);
  setpgid(child->pid_, child->pid_);  // as the child does: whoever comes first
  child->guard_ = fork();
  if (child->guard_ == 0) guard(leash.ends[0], child->pid_);
  const Status guarded = child->guard_ > 0 ? Status::ok() : io_error("fork");
  child->output_fd_ = output.take(0);
  fcntl(child->output_fd_, F_SETFL, O_NONBLOCK);
  child->leash_ = leash.take(1);
  if (!guarded.is_ok()) {
    child->stop(0);
    return guarded;
  }
  return child;
}

ChildProcess::~ChildProcess() {
  stop(0);
  if (output_fd_ >= 0) ::close(output_fd_);
}

bool ChildProcess::has_ended() {
  siginfo_t info{};
  // Not reaped yet: until then neither its number nor its group's goes to anybody else.
  return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

std::optional<std::string> ChildProcess::ended() {
  if (pid_ > 0 && has_ended()) reap();
  return ended_;
}

void ChildProcess::reap() {
  const std::lock_guard lock(mutex_);
  kill(-pid_, SIGKILL);
  if (guard_ > 0) kill(guard_, SIGKILL);
  int how = 0;
  if (guard_ > 0) waitpid(guard_, &how, 0);
  waitpid(pid_, &how, 0);
  ended_ = WIFSIGNALED(how)
               ? fmt::format("signal {} ({})", WTERMSIG(how), sigabbrev_np(WTERMSIG(how)))
               : fmt::format("exit code {}", WEXITSTATUS(how));
  ::close(leash_);
  pid_ = guard_ = leash_ = -1;
  collect();
}

void ChildProcess::collect() {
  std::array<char, 4096> bytes{};
  ssize_t got = 0;
  while ((got = ::read(output_fd_, bytes.data(), bytes.size())) > 0) {
    for (std::string* into : {&output_, &news_}) {
      into->append(bytes.data(), static_cast<size_t>(got));
      if (into->size() > kOutputBytesMax) into->erase(0, into->size() - kOutputBytesMax);
    }
  }
  if (got == 0) ::close(std::exchange(output_fd_, -1));  // nobody writes to it any more
}

const std::string& ChildProcess::output() {
  collect();
  return output_;
}

std::string ChildProcess::news(int wait_ms) {
  collect();
  pollfd more{.fd = output_fd_, .events = POLLIN, .revents = 0};
  if (news_.empty() && poll(&more, 1, wait_ms) > 0) collect();
  return std::exchange(news_, {});
}

void ChildProcess::end() {
  const std::lock_guard lock(mutex_);
  if (pid_ > 0) kill(-pid_, SIGTERM);
}

void ChildProcess::stop(int grace_ms) {
  constexpr int kStepMs = 10;
  if (pid_ <= 0) return;
  if (grace_ms > 0) kill(-pid_, SIGTERM);
  for (int waited_ms = 0; waited_ms < grace_ms && !has_ended(); waited_ms += kStepMs) {
    poll(nullptr, 0, kStepMs);
  }
  kill(-pid_, SIGKILL);
  reap();
}

}  // namespace ca4
