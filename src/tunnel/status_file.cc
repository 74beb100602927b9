#include "tunnel/status_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/clock.h"
#include "base/io_error.h"

namespace ca4::tunnel {
namespace {

std::string lock_path(const std::string& dir) {
  return dir + "/tunnel.lock";
}

std::string json_path(const std::string& dir) {
  return dir + "/tunnel.json";
}

const char* state_name(LinkState state) {
  switch (state) {
    case LinkState::kConnecting:
      return "connecting";
    case LinkState::kConnected:
      return "connected";
    case LinkState::kWaiting:
      break;
  }
  return "waiting";
}

const char* state_name(Answer::Kind kind) {
  switch (kind) {
    case Answer::Kind::kHealthy:
      return "healthy";
    case Answer::Kind::kUnwell:
      return "unwell";
    case Answer::Kind::kCutOff:
      return "unreachable";
    case Answer::Kind::kSilent:
      return "silent";
    case Answer::Kind::kNoEntry:
      break;
  }
  return "down";
}

// Readers hold the lock for an instant, another tunnel for as long as it runs.
bool lock(int fd) {
  constexpr int kTries = 10;
  constexpr int kPauseMs = 20;
  for (int i = 0; i < kTries; ++i) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    ::poll(nullptr, 0, kPauseMs);
  }
  return false;
}

}  // namespace

Result<std::unique_ptr<StatusFile>> StatusFile::open(const std::string& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return io_error(dir, error.value());
  const std::string path = lock_path(dir);
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return io_error(path);
  if (lock(fd)) return std::unique_ptr<StatusFile>(new StatusFile(dir, fd));
  ::close(fd);
  return Status(Code::kUnavailable,
                fmt::format("another `ca4 tunnel` runs on {}; see `ca4 tunnel --status`", dir));
}

StatusFile::~StatusFile() {
  ::unlink(json_path(dir_).c_str());
  ::close(lock_fd_);
}

void StatusFile::write(const View& view) {
  const std::string text = to_json(view) + '\n';
  if (replace(text)) return;
  // A full disk. Readers would take what was true before for what is; and the room that it took may
  // be enough.
  ::unlink(json_path(dir_).c_str());
  replace(text);
}

bool StatusFile::replace(const std::string& text) const {
  const std::string unfinished = json_path(dir_) + ".new";
  {
    std::ofstream out(unfinished, std::ios::trunc);
    out << text;
    if (!out.flush()) {
      ::unlink(unfinished.c_str());
      return false;
    }
  }
  return ::rename(unfinished.c_str(), json_path(dir_).c_str()) == 0;
}

Result<std::string> read_status(const std::string& dir) {
  const Status none(Code::kNotFound, fmt::format("no tunnel runs on {}", dir));
  const int fd = ::open(lock_path(dir).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno == EACCES ? io_error(lock_path(dir), EACCES) : none;
  // Shared, so that two readers do not take each other for a tunnel.
  const bool nobody = ::flock(fd, LOCK_SH | LOCK_NB) == 0;
  ::close(fd);
  if (nobody) return none;
  const std::ifstream in(json_path(dir));
  std::ostringstream text;
  text << in.rdbuf();
  if (!text.str().empty()) return text.str();
  return Status(Code::kNotFound,
                fmt::format("a tunnel runs on {} and has left no word of how it is: it has only "
                            "just begun, or its disk is full",
                            dir));
}

std::string to_json(const View& view) {
  nlohmann::ordered_json json = {{"pid", view.pid},
                                 {"healthy", view.healthy()},
                                 {"started", format_rfc3339(view.started_us)},
                                 {"written", format_rfc3339(view.written_us)}};
  json["links"] = nlohmann::ordered_json::array();
  for (const LinkView& link : view.links) {
    json["links"].push_back({{"name", link.name},
                             {"state", state_name(link.state)},
                             {"since", format_rfc3339(link.since_us)},
                             {"restarts", link.restarts},
                             {"problem", link.problem.what},
                             {"fix", link.problem.fix}});
  }
  json["forwards"] = nlohmann::ordered_json::array();
  for (const ForwardView& forward : view.forwards) {
    json["forwards"].push_back({{"local", fmt::format("127.0.0.1:{}", forward.forward.local_port)},
                                {"target", forward.forward.target()},
                                {"state", state_name(forward.answer.kind)},
                                {"since", format_rfc3339(forward.since_us)},
                                {"detail", forward.answer.detail},
                                {"answer_ms", static_cast<double>(forward.answer.took_us) / 1000},
                                {"link", forward.link}});
  }
  using nlohmann::ordered_json;
  // What programs said may be no UTF-8.
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace ca4::tunnel
