// A TOML text as a flat list of sections and keys, each with its place; toml++ stays behind this.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/excerpt.h"

namespace ca4::config {

// A value of a kind no setting has, named for the message: "an array".
struct OtherKind {
  std::string_view name;
};

struct TomlEntry {
  std::string key;
  Place key_place;
  Place value_place;
  std::variant<std::string, int64_t, bool, OtherKind> value;
};

struct TomlSection {
  std::string name;  // empty: the top level
  Place place;
  std::vector<TomlEntry> entries;
};

struct TomlFault {
  Place place;
  std::string message;
  std::string hint;  // what was probably meant; may be empty
};

struct TomlText {
  std::vector<TomlSection> sections;  // none when there is a fault
  std::optional<TomlFault> fault;     // the first syntax error
};

TomlText parse_toml(std::string_view text);

}  // namespace ca4::config
