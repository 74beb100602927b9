#include "base/replace_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/folders.h"
#include "base/io_error.h"

namespace ca4 {
namespace {

constexpr mode_t kModeNew = 0600;

// Owner and mode of what is at `path`, if anything is.
bool take_after(const std::string& path, int fd) {
  struct stat before{};
  if (::stat(path.c_str(), &before) != 0) return true;
  return ::fchown(fd, before.st_uid, before.st_gid) == 0 &&
         ::fchmod(fd, before.st_mode & (S_IRWXU | S_IRWXG)) == 0;
}

}  // namespace

Status replace_file(const std::string& path, const std::string& text) {
  const std::string beside = fmt::format("{}.{}.new", path, ::getpid());
  // Of a process of this number that was killed, as all are number 1 in containers.
  ::unlink(beside.c_str());
  const int fd = ::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kModeNew);
  if (fd < 0) return io_error(beside);
  const bool written = take_after(path, fd) &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0 && ::rename(beside.c_str(), path.c_str()) == 0;
  const int error = errno;
  ::close(fd);
  if (written) return sync_folder(std::filesystem::absolute(path).parent_path().string());
  ::unlink(beside.c_str());
  return io_error(path, error);
}

}  // namespace ca4
