#include "admin/address_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "base/io_error.h"

namespace ca4::admin {
namespace {

namespace fs = std::filesystem;

// Workers that share one data directory; more would be a loop that starts them.
constexpr int kProcessesMax = 64;
// Between opening a file and locking it, its owner may end and remove it.
constexpr int kTriesMax = 3;

// A lock of the open file, not of the process: whoever asks does not have to take it.
struct flock whole_file(short type) {
  struct flock out{};
  out.l_type = type;
  out.l_whence = SEEK_SET;
  return out;
}

bool is_still(int fd, const std::string& path) {
  struct stat opened{};
  struct stat named{};
  return ::fstat(fd, &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

// The descriptor of the locked file, or kAlreadyExists when another process has it.
Result<int> take(const std::string& path) {
  for (int i = 0; i < kTriesMax; ++i) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return io_error(path);
    struct flock lock = whole_file(F_WRLCK);
    if (::fcntl(fd, F_OFD_SETLK, &lock) != 0) {
      const int error = errno;
      ::close(fd);
      if (error == EAGAIN || error == EACCES) break;
      return io_error(path, error);
    }
    if (is_still(fd, path)) return fd;
    ::close(fd);
  }
  return Status(Code::kOverloaded, path + ": another process has it");
}

Status write_line(int fd, const std::string& path, const std::string& text) {
  const std::string line = text + "\n";
  if (::ftruncate(fd, 0) == 0 &&
      ::pwrite(fd, line.data(), line.size(), 0) == static_cast<ssize_t>(line.size())) {
    return Status::ok();
  }
  return io_error(path);
}

// The missing ones of `folder` and those above it, the inner ones first.
std::vector<std::string> missing_folders(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::path path = folder; !path.empty() && !fs::exists(path, error);
       path = path.parent_path()) {
    out.push_back(path.string());
    if (path == path.parent_path()) break;
  }
  return out;
}

bool is_held(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  struct flock lock = whole_file(F_RDLCK);
  const bool known = ::fcntl(fd, F_OFD_GETLK, &lock) == 0;
  ::close(fd);
  return known && lock.l_type != F_UNLCK;
}

}  // namespace

Result<std::unique_ptr<AddressFile>> AddressFile::write(const std::string& folder,
                                                        const std::string& name,
                                                        const std::string& address) {
  std::vector<std::string> made = missing_folders(folder);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return io_error(folder, error.value());
  for (int number = 1; number <= kProcessesMax; ++number) {
    std::string path = fmt::format("{}/{}", folder, name);
    if (number > 1) path += fmt::format("-{}", number);
    Result<int> fd = take(path);
    if (!fd && fd.status().code() == Code::kOverloaded) continue;
    if (!fd) return fd.status();
    std::unique_ptr<AddressFile> file(new AddressFile(path, *fd, std::move(made)));
    if (Status bad = write_line(*fd, path, address); !bad.is_ok()) return bad;
    return file;
  }
  return Status(Code::kIo, fmt::format("{}/{}: {} processes have such a file already", folder, name,
                                       kProcessesMax));
}

AddressFile::AddressFile(std::string path, int fd, std::vector<std::string> made)
    : path_(std::move(path)), fd_(fd), made_(std::move(made)) {}

AddressFile::~AddressFile() {
  ::unlink(path_.c_str());
  ::close(fd_);
  for (const std::string& folder : made_) {
    if (::rmdir(folder.c_str()) != 0) return;
  }
}

std::vector<RunningProcess> running_processes(const std::string& folder) {
  std::vector<RunningProcess> out;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string path = at->path().string();
    if (!is_held(path)) continue;
    std::ifstream file(path);
    std::string line;
    if (std::getline(file, line)) out.push_back({at->path().filename().string(), line});
  }
  std::ranges::sort(out, {}, &RunningProcess::name);
  return out;
}

}  // namespace ca4::admin
