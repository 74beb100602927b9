// The effective settings: defaults, overridden by a TOML file, by environment variables, by flags.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "config/table.h"

namespace ca4::config {

// The value of an environment variable, if it is set. An empty value counts as not set, as usual
// for variables that a container passes on.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct FlagValue {
  const Setting* setting;
  std::string text;
};

struct Sources {
  std::string file;  // its name in messages; empty: there is no file
  std::string file_text;
  Environment env;  // null: none is set
  // The names of all variables that are set, also of those that are nobody's here.
  std::vector<std::string> variables;
  std::vector<FlagValue> flags;
  // Sections whose settings the program will act on: only there does asking for what this build
  // lacks stop it. What is malformed is a problem everywhere.
  std::vector<Section> in_use{std::begin(kAllSections), std::end(kAllSections)};
};

struct Loaded {
  Settings settings;  // problems left out: a value that is wrong leaves the next weaker source's
  // One a row of table(): "default", "file ca4.toml:12", "env KAFKA_TOPIC", "flag --listen".
  std::vector<std::string> origins;
  // Everything that is wrong, in the file's order, then variables, then flags; several lines each.
  std::vector<std::string> problems;
  // What is allowed and most likely a slip, a line each: a variable that is nearly one of ours,
  // which may also be another program's.
  std::vector<std::string> advice;

  // kConfig with all problems, or ok.
  Status status() const;
};

// Pure: reads nothing but its arguments.
Loaded load(const Sources& sources);

// Largest configuration file: far beyond any real one, and no surprise when given a wrong path.
inline constexpr size_t kFileBytesMax = 1 << 20;

// The file's text. kConfig says why it can't be had.
Result<std::string> read_file(const std::string& path);

// Which file to read: `given` by --config, else CA4_CONFIG, else ./ca4.toml when there is one, else
// none (empty).
std::string find_file(const std::string& given, const Environment& env);

}  // namespace ca4::config
