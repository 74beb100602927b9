#include "aws/profile_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace ca4::aws {
namespace {

constexpr std::string_view kBlanks = " \t\r";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// The profile a section is about; empty when it is another kind of section.
std::string section_profile(std::string_view section, bool prefixed) {
  if (!prefixed || section == "default") return std::string(section);
  constexpr std::string_view kPrefix = "profile";
  if (!section.starts_with(kPrefix) || section.size() == kPrefix.size()) return {};
  return std::string(trim(section.substr(kPrefix.size())));
}

void read_setting(std::string_view line, Profile& profile) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return;
  std::string_view value = line.substr(equals + 1);
  // A comment behind a value begins with a blank and '#' or ';': secrets may hold either alone.
  value = value.substr(0, std::min(value.find(" #"), value.find(" ;")));
  profile[lower(trim(line.substr(0, equals)))] = std::string(trim(value));
}

std::string file_path(const Environment& env, const std::string& variable, const char* name) {
  const std::string given = value_of(env, variable);
  return given.empty() ? fmt::format("{}/.aws/{}", value_of(env, "HOME"), name) : given;
}

}  // namespace

std::map<std::string, Profile> parse_profiles(std::string_view text, bool prefixed) {
  std::map<std::string, Profile> profiles;
  Profile* current = nullptr;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::string_view content = trim(line);
    if (content.empty() || content.front() == '#' || content.front() == ';') continue;
    if (content.front() == '[') {
      const size_t close = std::min(content.find(']'), content.size());
      const std::string name = section_profile(trim(content.substr(1, close - 1)), prefixed);
      current = name.empty() ? nullptr : &profiles[name];
    } else if (current != nullptr && kBlanks.find(line.front()) == std::string_view::npos) {
      read_setting(content, *current);
    }
  }
  return profiles;
}

std::string profile_name(const Environment& env, const std::string& chosen) {
  if (!chosen.empty()) return chosen;
  const std::string name = value_of(env, "AWS_PROFILE");
  return name.empty() ? "default" : name;
}

Result<Profile> read_profile(const Environment& env, const std::string& name) {
  const std::string config_path = file_path(env, "AWS_CONFIG_FILE", "config");
  const std::string credentials_path = file_path(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
  Profile profile;
  bool found = false;
  for (const bool prefixed : {true, false}) {
    const Result<std::string> text = read_small_file(prefixed ? config_path : credentials_path);
    if (!text && text.status().code() == Code::kNotFound) continue;
    if (!text) return text.status();
    const std::map<std::string, Profile> profiles = parse_profiles(*text, prefixed);
    const auto named = profiles.find(name);
    if (named == profiles.end()) continue;
    found = true;
    for (const auto& [key, value] : named->second) profile[key] = value;
  }
  if (found) return profile;
  return Status(Code::kNotFound,
                fmt::format("no profile '{}' in {} or {}", name, credentials_path, config_path));
}

}  // namespace ca4::aws
