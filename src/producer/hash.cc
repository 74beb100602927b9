#include "producer/hash.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include "base/digest.h"

namespace ca4::producer {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

Status failed(const std::string& path, int error) {
  return {error == ENOENT ? Code::kNotFound : Code::kIo,
          fmt::format("{}: {}", path, std::generic_category().message(error))};
}

// Calls `take` with each piece until it returns false.
template <class Take>
Status read_pieces(const std::string& path, Take take) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) return failed(path, errno);
  std::array<char, 64 * 1024> piece{};
  while (true) {
    const size_t count = std::fread(piece.data(), 1, piece.size(), file.get());
    if (std::ferror(file.get()) != 0) return failed(path, errno);
    if (count == 0 || !take(std::string_view(piece.data(), count))) return Status::ok();
  }
}

}  // namespace

Result<std::string> sha256_file_hex(const std::string& path) {
  Sha256 hash;
  Status status = read_pieces(path, [&](std::string_view piece) {
    hash.add(piece);
    return true;
  });
  if (!status.is_ok()) return status;
  return hash.hex();
}

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  std::string bytes;
  Status status = read_pieces(path, [&](std::string_view piece) {
    bytes += piece;
    return bytes.size() <= bytes_max;
  });
  if (!status.is_ok()) return status;
  if (bytes.size() > bytes_max) {
    return Status(Code::kTooLarge,
                  fmt::format("{}: larger than the limit of {} bytes", path, bytes_max));
  }
  return bytes;
}

}  // namespace ca4::producer
