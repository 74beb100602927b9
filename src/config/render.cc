#include "config/render.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/value.h"

namespace ca4::config {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

Written by `ca4 config --doc markdown`; a test keeps it current.

A value comes from the strongest place that has one: a flag, then an environment variable, then the
TOML file, then the default. `ca4 config` prints every value and where it comes from;
`ca4 config validate FILE` checks a file. The file is the one given with `--config`, else the one
named by `CA4_CONFIG`, else `ca4.toml` in the current directory, else none.

- Numbers are plain whole numbers in the unit that the key ends with; TOML's `16_777_216` is fine in a file.
- An empty environment variable counts as not set. One that is nearly a setting's, or a guess of it (`CA4_PROCESSOR_TOKN_FILE`, `CA4_LISTEN`), is pointed out.
- A path is taken from the directory the program is started in.
- A mistake is shown with its place and ends the program with exit code 78 (a wrong flag: 2).
- Secrets are in files that settings name. The one exception is the password in `MONGO_URI`, which has no
  flag and is never printed.
)";

std::string markdown_row(const Setting& setting, const Settings& defaults) {
  const std::string value = value_literal(setting, defaults);
  const std::string flag = setting.flag.empty() ? "" : fmt::format("`{}`", setting.flag);
  return fmt::format("| `{}` | {} | `{}` | `{}` | {} | {} |\n", setting.key, limits(setting), value,
                     setting.env, flag, setting.help);
}

std::string heading(Section section) {
  const std::string_view name = section_name(section);
  const std::string_view title = section_title(section);
  return name.empty() ? std::string(title) : fmt::format("`[{}]` {}", name, title);
}

}  // namespace

std::string render_table(const Loaded& loaded) {
  size_t name_width = 0;
  size_t value_width = 0;
  for (const Setting& setting : table()) {
    name_width = std::max(name_width, setting.name().size());
    value_width = std::max(value_width, value_literal(setting, loaded.settings).size());
  }
  // One long path must not push every origin off the screen.
  value_width = std::min<size_t>(value_width, 40);

  std::string out =
      fmt::format("{:{}}  {:{}}  {}\n", "SETTING", name_width, "VALUE", value_width, "FROM");
  for (size_t row = 0; row < table().size(); ++row) {
    const Setting& setting = table()[row];
    out += fmt::format("{:{}}  {:{}}  {}\n", setting.name(), name_width,
                       value_literal(setting, loaded.settings), value_width, loaded.origins[row]);
  }
  return out;
}

std::string render_json(const Loaded& loaded) {
  std::string out = "{\"settings\": [";
  for (size_t row = 0; row < table().size(); ++row) {
    const Setting& setting = table()[row];
    out += fmt::format("{}\n  {{\"name\": {}, \"value\": {}, \"origin\": {}}}", row == 0 ? "" : ",",
                       quoted(setting.name()), value_literal(setting, loaded.settings),
                       quoted(loaded.origins[row]));
  }
  return out + "\n]}\n";
}

std::string render_toml(const Loaded& loaded) {
  std::string out;
  Section section = Section::kGeneral;
  for (size_t row = 0; row < table().size(); ++row) {
    const Setting& setting = table()[row];
    if (setting.section != section) out += fmt::format("\n[{}]\n", section_name(setting.section));
    section = setting.section;
    out += fmt::format("{} = {}  # {}\n", setting.key, value_literal(setting, loaded.settings),
                       loaded.origins[row]);
  }
  return out;
}

std::string render_markdown() {
  const Settings defaults;
  std::string out(kIntroduction);
  for (const Section section : kAllSections) {
    out += fmt::format("\n## {}\n\n", heading(section));
    out += "| key | takes | default | variable | flag | meaning |\n|---|---|---|---|---|---|\n";
    for (const Setting& setting : table()) {
      if (setting.section == section) out += markdown_row(setting, defaults);
    }
  }
  return out;
}

}  // namespace ca4::config
