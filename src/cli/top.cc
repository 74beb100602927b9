// `ca4 top`: a running pipeline in a terminal.
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <optional>
#include <system_error>
#include <thread>

#include "admin/address_file.h"
#include "base/clock.h"
#include "cli/admin.h"
#include "cli/common.h"
#include "cli/help.h"
#include "cli/subcommand.h"
#include "top/frame.h"
#include "top/watch.h"

namespace ca4::cli {
namespace {

using std::chrono::steady_clock;

constexpr size_t kColumns = 80;  // where nobody says how wide it is
constexpr int kIntervalMs = 1000;

// How wide and how high the terminal is now.
winsize terminal_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    size.ws_col = kColumns;
    size.ws_row = 24;
  }
  return size;
}

// SIGINT, SIGTERM and SIGHUP as something to read. Made before any other thread.
class EndSignals {
 public:
  EndSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, signal);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
    fd_ = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~EndSignals() {
    // One that came ends the command, and not the process on its way out.
    signalfd_siginfo taken{};
    while (::read(fd_, &taken, sizeof taken) > 0) {
    }
    ::close(fd_);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  int fd() const { return fd_; }

 private:
  sigset_t before_{};
  int fd_ = -1;
};

// The terminal as this needs it, and as it was before when this ends: another screen without a
// cursor, keys at once and unseen.
class Terminal {
 public:
  explicit Terminal(const EndSignals& signals) : signals_(signals) {
    has_keys_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    if (has_keys_) {
      termios keys = before_;
      keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    write("\x1b[?1049h\x1b[?25l");
  }
  ~Terminal() {
    write("\x1b[?25h\x1b[?1049l");
    if (has_keys_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Puts `lines` over what was there; what does not fit below is left out.
  static void show(std::string_view lines) {
    const int rows = terminal_size().ws_row;
    std::string out = "\x1b[H";
    for (int row = 1; row <= rows && !lines.empty(); ++row) {
      const size_t end = lines.find('\n');
      out += lines.substr(0, end);
      // The last row's end would move everything up.
      out += row < rows ? "\x1b[K\r\n" : "\x1b[K";
      lines.remove_prefix(end + 1);
    }
    write(out + "\x1b[J");
  }

  // True when a person or a signal wants the end; false after `ms`, or when the terminal changed.
  bool wants_end(int ms) const {
    std::array<pollfd, 2> waits = {pollfd{signals_.fd(), POLLIN, 0},
                                   pollfd{STDIN_FILENO, POLLIN, 0}};
    if (::poll(waits.data(), has_keys_ ? 2 : 1, ms) <= 0) return false;
    if (waits[0].revents != 0) return true;
    std::array<char, 64> keys{};
    const ssize_t count = ::read(STDIN_FILENO, keys.data(), keys.size());
    if (count <= 0) return true;  // nobody is there any more
    const std::string_view pressed(keys.data(), static_cast<size_t>(count));
    return pressed.find_first_of("qQ") != std::string_view::npos;
  }

 private:
  static void write(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  const EndSignals& signals_;
  bool has_keys_ = false;
  termios before_{};
};

class Top final : public Subcommand {
 public:
  void define(CLI::App& app) override {
    flags_.add(app, {}, {"data_dir"});
    app.add_option("ADDRESS", addresses_,
                   "admin ports, HOST:PORT or a URL [those of the processes on DATA_DIR]")
        ->check(admin_address());
    app.add_flag("--once", once_, "print one screen as text, of the next second, and end");
  }

  int run() override {
    Result<config::Settings> settings = flags_.load();
    if (!settings) return report("top", settings.status());
    folder_ = admin_dir(*settings);
    const bool plain = once_ || isatty(STDOUT_FILENO) == 0;
    std::optional<EndSignals> signals;
    if (!plain) signals.emplace();
    find_processes();
    if (watch_.processes().empty()) {
      const Status nobody = nobody_found();
      if (plain) return report("top", nobody);
      nobody_ = nobody.message();
    }
    if (plain) return print_once();
    const Terminal terminal(*signals);
    do {
      find_processes();
      Terminal::show(screen(terminal_size().ws_col));
    } while (!terminal.wants_end(kIntervalMs));
    return 0;
  }

 private:
  Status nobody_found() const {
    if (::access(folder_.c_str(), R_OK) != 0 && errno == EACCES) {
      return {
          Code::kIo,
          fmt::format("{}: {}; run this as the user that the data belongs to, or give an address "
                      "(admin.listen of the process)",
                      folder_, std::generic_category().message(EACCES))};
    }
    return {Code::kNotFound, fmt::format("no process that runs has left its address in {}; give "
                                         "--data-dir or an address (admin.listen of the process)",
                                         folder_)};
  }

  void find_processes() {
    for (const std::string& address : addresses_) watch_.add(address, admin_url(address));
    if (!addresses_.empty()) return;
    for (const admin::RunningProcess& found : admin::running_processes(folder_)) {
      watch_.add(found.name, found.address);
    }
  }

  std::string screen(size_t columns) const {
    const std::vector<top::Process> processes = watch_.processes();
    const std::string head = format_rfc3339(SystemClock().now_us()).substr(0, 19);
    std::string out = fmt::format("ca4 top  {}Z  rates over 10 s  q: end", head);
    out.resize(std::min(out.size(), columns));
    out += "\n\n";
    if (!processes.empty()) return out + top::frame(processes, columns);
    for (const std::string& line : wrap(nobody_, columns)) out += line + "\n";
    return out;
  }

  // 0: everyone answers.
  int print_once() {
    const auto answered = [](const top::Process& process) { return process.window.size() > 1; };
    const auto settled = [&](const top::Process& process) {
      return answered(process) || !process.trouble.empty();
    };
    const auto until = steady_clock::now() + std::chrono::seconds(10);
    while (steady_clock::now() < until && !std::ranges::all_of(watch_.processes(), settled)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    const std::vector<top::Process> processes = watch_.processes();
    fmt::print("{}",
               top::frame(processes, isatty(STDOUT_FILENO) != 0 ? terminal_size().ws_col : 132));
    return std::ranges::all_of(processes, answered) ? 0 : 1;
  }

  SettingsFlags flags_;
  std::vector<std::string> addresses_;
  bool once_ = false;
  std::string folder_;
  std::string nobody_;
  top::Watch watch_;
};

}  // namespace

std::unique_ptr<Subcommand> make_top() {
  return std::make_unique<Top>();
}

}  // namespace ca4::cli
