#include "cli/out_file.h"

#include <unistd.h>

#include <cerrno>

#include "base/io_error.h"

namespace ca4::cli {
Result<OutFile> OutFile::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return io_error(path);
  return OutFile(file, path);
}

Status OutFile::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) == text.size()) return Status::ok();
  if (errno_ == 0) errno_ = errno;
  return io_error(path_, errno_);
}

Status OutFile::finish() {
  if (std::fflush(file_.get()) != 0 && errno_ == 0) errno_ = errno;
  // EINVAL: a pipe or a terminal, which has no disk.
  if (::fsync(::fileno(file_.get())) != 0 && errno != EINVAL && errno_ == 0) errno_ = errno;
  if (std::fclose(file_.release()) != 0 && errno_ == 0) errno_ = errno;
  return errno_ == 0 ? Status::ok() : io_error(path_, errno_);
}

}  // namespace ca4::cli
