#include "aws/environment.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/io_error.h"

namespace ca4::aws {
namespace {

constexpr size_t kFileBytesMax = 1U << 20;

}  // namespace

std::string value_of(const Environment& env, const std::string& name) {
  return env(name).value_or("");
}

Result<std::string> read_small_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    const Code code = errno == ENOENT || errno == ENOTDIR ? Code::kNotFound : Code::kIo;
    return Status(code, fmt::format("{}: {}", path, std::strerror(errno)));
  }
  std::string text(kFileBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return io_error(path);
  }
  text.resize(static_cast<size_t>(file.gcount()));
  if (text.size() > kFileBytesMax) {
    return Status(Code::kTooLarge, fmt::format("{}: more than {} bytes", path, kFileBytesMax));
  }
  return text;
}

}  // namespace ca4::aws
