#include "cli/out_file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

namespace ca4::cli {
namespace {

Status io_error(const std::string& path) {
  return {Code::kIo, fmt::format("{}: {}", path, strerror(errno))};
}

}  // namespace

Result<OutFile> OutFile::create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return io_error(path);
  return OutFile(file, path);
}

Status OutFile::finish() {
  errno = 0;
  const bool flushed = std::fflush(file_.get()) == 0 && std::ferror(file_.get()) == 0;
  const Status status = flushed ? Status::ok() : io_error(path_);
  const bool closed = std::fclose(file_.release()) == 0;
  return status.is_ok() && !closed ? io_error(path_) : status;
}

}  // namespace ca4::cli
