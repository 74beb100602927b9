#include "base/folders.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/io_error.h"

namespace ca4 {
namespace {

namespace fs = std::filesystem;

}  // namespace

Status sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return io_error(path, "open");
  Status status;
  if (::fsync(fd) != 0) status = io_error(path, "fsync");
  ::close(fd);
  return status;
}

Status make_durable_folders(const std::string& path) {
  std::error_code error;
  // Without links: "LINK/.." is not where LINK stands, and a link's target has a name of its own.
  fs::path folder = fs::absolute(path, error);
  if (!error) folder = fs::weakly_canonical(folder, error);
  if (error) return io_error(path, "look up", error.value());
  if (!folder.has_filename()) folder = folder.parent_path();
  // From the folder up, until one is there.
  std::vector<fs::path> missing;
  fs::path there = folder;
  for (; there.has_relative_path() && !fs::exists(there, error); there = there.parent_path()) {
    missing.push_back(there);
  }
  if (::access(there.parent_path().c_str(), R_OK) == 0) {
    Status status = sync_folder(there.parent_path().string());
    if (!status.is_ok()) return status;
  }
  // Each only when those above it are durable: then one that is there says as much of them.
  std::reverse(missing.begin(), missing.end());
  for (const fs::path& made : missing) {
    fs::create_directory(made, error);
    if (error) return io_error(path, "create", error.value());
    Status status = sync_folder(made.parent_path().string());
    if (!status.is_ok()) return status;
  }
  if (!fs::is_directory(folder, error)) return io_error(path, "create", ENOTDIR);
  return Status::ok();
}

}  // namespace ca4
