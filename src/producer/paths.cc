#include "producer/paths.h"

#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <span>
#include <unordered_set>

namespace ca4::producer {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kEndings = {".jpg", ".jpeg", ".png", ".webp"};

// Pictures that are not read: of phones, of cameras, of the web and of scanners.
constexpr std::array<std::string_view, 17> kOtherEndings = {
    ".heic", ".heif", ".avif", ".jxl", ".gif", ".tif", ".tiff", ".bmp", ".jp2",
    ".dng",  ".cr2",  ".cr3",  ".nef", ".arw", ".raf", ".orf",  ".rw2"};

std::string ending_of(const fs::path& path) {
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

bool is_among(std::string_view ending, std::span<const std::string_view> endings) {
  return std::ranges::find(endings, ending) != endings.end();
}

Status unreadable(const fs::path& path, const std::error_code& error) {
  return {Code::kIo, fmt::format("{}: {}", path.string(), error.message())};
}

// Also a link that leads nowhere: it is skipped later, with its reason, and not left out silently.
bool may_be_picture(const fs::directory_entry& entry) {
  std::error_code ignored;  // what vanished meanwhile is no file
  return entry.is_regular_file(ignored) || (entry.is_symlink(ignored) && !entry.exists(ignored));
}

class Collector {
 public:
  void add_file(const fs::path& path) {
    std::string absolute = fs::absolute(path).lexically_normal().string();
    if (seen_.insert(absolute).second) out_.push_back(std::move(absolute));
  }

  Status add_folder(const fs::path& folder, bool may_be_empty) {
    std::error_code error;
    std::vector<fs::path> found;
    fs::recursive_directory_iterator entry(folder, error);
    fs::path at = folder;  // what increment() may fail to open; then there is no entry to ask
    for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
      at = entry->path();
      const std::string ending = ending_of(at);
      if (is_among(ending, kEndings) && may_be_picture(*entry)) found.push_back(at);
      if (is_among(ending, kOtherEndings) && may_be_picture(*entry)) ++left_out_[ending];
    }
    if (error) return unreadable(at, error);
    if (found.empty() && !may_be_empty) {
      return {Code::kNotFound,
              fmt::format("{}: no .jpg, .jpeg, .png or .webp in this folder{}", folder.string(),
                          left_out_.empty() ? "" : "; " + advice())};
    }
    std::ranges::sort(found);
    for (const fs::path& path : found) add_file(path);
    return Status::ok();
  }

  Status add_existing(const fs::path& path, bool may_be_empty) {
    std::error_code error;
    if (fs::is_directory(path, error)) return add_folder(path, may_be_empty);
    if (is_no_file(path.string())) {
      return may_be_empty ? Status::ok()
                          : Status(Code::kInvalidArgument,
                                   fmt::format("{}: a pipe or a device, no file", path.string()));
    }
    add_file(path);
    return Status::ok();
  }

  Status add_pattern(const std::string& pattern) {
    glob_t found{};
    const int result = glob(pattern.c_str(), 0, nullptr, &found);
    std::vector<std::string> matches(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    globfree(&found);
    if (result != 0) return {Code::kNotFound, fmt::format("{}: nothing matches", pattern)};
    for (const std::string& match : matches) {
      if (Status bad = add_existing(match, true); !bad.is_ok()) return bad;
    }
    return Status::ok();
  }

  std::vector<std::string> take() { return std::move(out_); }

  // Empty when nothing was left out.
  std::string advice() const {
    if (left_out_.empty()) return "";
    std::string kinds;
    for (const auto& [ending, count] : left_out_) {
      kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", count, ending);
    }
    return "pictures of kinds that are not read are left out (" + kinds +
           "): make JPEG, PNG or WebP of them";
  }

 private:
  std::vector<std::string> out_;
  std::unordered_set<std::string> seen_;
  std::map<std::string, size_t> left_out_;  // by ending
};

}  // namespace

Result<std::vector<std::string>> expand_paths(const std::vector<std::string>& arguments,
                                              std::string* advice) {
  Collector collector;
  for (const std::string& argument : arguments) {
    std::error_code error;
    if (fs::exists(argument, error)) {
      if (Status bad = collector.add_existing(argument, false); !bad.is_ok()) return bad;
    } else if (argument.find_first_of("*?[") != std::string::npos) {
      if (Status bad = collector.add_pattern(argument); !bad.is_ok()) return bad;
    } else {
      return Status(Code::kNotFound, fmt::format("{}: no such file or folder", argument));
    }
  }
  if (advice != nullptr) *advice = collector.advice();
  return collector.take();
}

bool is_no_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_other(path, ignored);
}

namespace {

std::string escape_uri(std::string out, std::string_view path) {
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0 ||
        std::string_view("/-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

std::string file_uri(std::string_view absolute_path) {
  return escape_uri("file://", absolute_path);
}

std::string memory_uri(std::string_view name) {
  return escape_uri("memory:", name);
}

}  // namespace ca4::producer
