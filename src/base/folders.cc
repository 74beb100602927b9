#include "base/folders.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace ca4 {
namespace {

namespace fs = std::filesystem;

Status io_error(const std::string& path, std::string_view doing, int error) {
  return {Code::kIo, fmt::format("{}: {}: {}", path, doing, strerror(error))};
}

}  // namespace

Status sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return io_error(path, "open", errno);
  Status status;
  if (::fsync(fd) != 0) status = io_error(path, "fsync", errno);
  ::close(fd);
  return status;
}

Status make_durable_folders(const std::string& path) {
  std::error_code error;
  fs::path folder = fs::absolute(path, error).lexically_normal();
  if (error) return io_error(path, "absolute path", error.value());
  if (!folder.has_filename()) folder = folder.parent_path();
  // From the folder up, each with the one it stands in, until one is there.
  std::vector<fs::path> missing;
  for (fs::path at = folder; at.has_relative_path() && !fs::exists(at, error);
       at = at.parent_path()) {
    missing.push_back(at);
  }
  fs::create_directories(folder, error);
  if (error) return io_error(path, "create", error.value());
  for (const fs::path& made : missing) {
    Status status = sync_folder(made.parent_path().string());
    if (!status.is_ok()) return status;
  }
  if (!missing.empty() || ::access(folder.parent_path().c_str(), R_OK) != 0) return Status::ok();
  return sync_folder(folder.parent_path().string());
}

}  // namespace ca4
