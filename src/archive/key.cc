#include "archive/key.h"

#include <fmt/format.h>

#include <algorithm>

namespace ca4::archive {
namespace {

bool allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '=' || c == '-';
}

// Why `part`, what stands between two '/', can't be; empty when it can.
std::string_view part_problem(std::string_view part) {
  if (part.empty()) return "begins or ends with '/', has '//', or is empty";
  if (part.front() == '.') return "has a part that begins with '.'";
  if (part.size() > kKeyPartBytesMax) return "has a part of more than 255 bytes";
  if (!std::all_of(part.begin(), part.end(), allowed)) return "has other than [A-Za-z0-9._=-]";
  return {};
}

}  // namespace

Status check_key(std::string_view key) {
  std::string_view problem;
  if (key.size() > kKeyBytesMax) problem = "is longer than 1024 bytes";
  for (std::string_view rest = key; problem.empty();) {
    const size_t end = rest.find('/');
    problem = part_problem(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  if (problem.empty()) return Status::ok();
  return {Code::kInvalidArgument,
          fmt::format("archive key '{}' {}", key.substr(0, kKeyBytesMax), problem)};
}

}  // namespace ca4::archive
