// Settings for people and programs: what `ca4 config` prints, and docs/configuration.md.
#pragma once

#include <string>

#include "config/load.h"

namespace ca4::config {

// A line a setting: name, value, where the value comes from; columns aligned. Secrets masked, in
// all of these.
std::string render_table(const Loaded& loaded);

// {"settings": [{"name": …, "value": …, "origin": …}, …]}, values typed.
std::string render_json(const Loaded& loaded);

// A file that `load` reads back (but for masked secrets), the origin as a comment a line.
std::string render_toml(const Loaded& loaded);

// The whole of docs/configuration.md.
std::string render_markdown();

}  // namespace ca4::config
