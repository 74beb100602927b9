#include "page/media.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <filesystem>
#include <optional>

#include "http/parameters.h"

namespace ca4::page {
namespace {

namespace fs = std::filesystem;

std::string_view content_type_of(const fs::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (ending == ".jpg" || ending == ".jpeg") return "image/jpeg";
  if (ending == ".png") return "image/png";
  if (ending == ".webp") return "image/webp";
  return {};
}

std::optional<std::string> path_of(std::string_view source_uri) {
  std::optional<std::string> path;
  for (const std::string_view scheme : {"file://localhost/", "file:///"}) {
    if (source_uri.starts_with(scheme)) {
      path = http::percent_decode(source_uri.substr(scheme.size() - 1), false);
      if (!path) return std::nullopt;
    }
  }
  if (!path && source_uri.find("://") == std::string_view::npos) path = source_uri;
  // A zero byte would end the path early for the operating system only.
  if (!path || path->empty() || path->find('\0') != std::string::npos) return std::nullopt;
  return path;
}

bool is_below(const fs::path& path, const fs::path& root) {
  // By components: "/photos-private" is not below "/photos".
  const auto [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return in_root == root.end() && in_path != path.end();
}

// The canonical path of an image below the root, if its name says so.
std::optional<fs::path> allowed_path(std::string_view source_uri, const std::string& root) {
  const std::optional<std::string> given = path_of(source_uri);
  if (root.empty() || !given) return std::nullopt;
  std::error_code failed;
  fs::path top = fs::weakly_canonical(root, failed);
  if (failed) return std::nullopt;
  // The trailing separator of "photos/" would be an empty last component.
  if (!top.has_filename() && top.has_relative_path()) top = top.parent_path();
  fs::path path = fs::weakly_canonical(top / *given, failed);
  if (failed || !is_below(path, top) || content_type_of(path).empty()) return std::nullopt;
  return path;
}

std::optional<std::string> read_regular(const fs::path& path) {
  // The path is canonical: a link in its place now was put there since.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::optional<std::string> bytes;
  struct stat info{};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
      static_cast<size_t>(info.st_size) <= kMediaBytesMax) {
    bytes.emplace(static_cast<size_t>(info.st_size), '\0');
    size_t done = 0;
    while (done < bytes->size()) {
      const ssize_t got = ::read(fd, bytes->data() + done, bytes->size() - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      done += static_cast<size_t>(got);
    }
    bytes->resize(done);
  }
  ::close(fd);
  return bytes;
}

}  // namespace

Result<Media> load_media(std::string_view source_uri, const std::string& root) {
  const std::optional<fs::path> path = allowed_path(source_uri, root);
  std::optional<std::string> bytes;
  if (path) bytes = read_regular(*path);
  if (!bytes) return Status(Code::kNotFound, "no image to show for this document");
  return Media{std::string(content_type_of(*path)), std::move(*bytes)};
}

bool has_media(std::string_view source_uri, const std::string& root) {
  const std::optional<fs::path> path = allowed_path(source_uri, root);
  if (!path) return false;
  std::error_code failed;
  return fs::is_regular_file(*path, failed) && fs::file_size(*path, failed) <= kMediaBytesMax;
}

}  // namespace ca4::page
