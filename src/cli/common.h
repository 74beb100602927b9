// What every subcommand shares: the flags of the settings it acts on, and how it reports failure.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/load.h"

namespace CLI {
class App;
class Option;
class Validator;
}  // namespace CLI

namespace ca4::cli {

// The largest number that --limit and its like take: more lines than anybody prints.
inline constexpr int64_t kLinesMax = 1'000'000'000;

// Declares --config and the flags of some sections of the settings table, then loads the effective
// settings: defaults, file, environment, flags. Must outlive the parsing of `app`.
class SettingsFlags {
 public:
  SettingsFlags() = default;
  SettingsFlags(const SettingsFlags&) = delete;
  SettingsFlags& operator=(const SettingsFlags&) = delete;

  // Call once, from Subcommand::define. Only the flags of `sections` and of the `single` settings
  // ("log.topic") exist on `app`; the file and the environment may hold every setting.
  void add(CLI::App& app, const std::vector<config::Section>& sections,
           const std::vector<std::string_view>& single = {});

  // Call after parsing. kConfig with everything that is wrong.
  Result<config::Settings> load() const;

  // The same with each value's origin, and problems beside the values; a failed Result only when
  // the file can't be read at all.
  Result<config::Loaded> load_all() const;

 private:
  struct Declared {
    config::FlagValue value;
    const CLI::Option* option = nullptr;
  };
  void add_flag(CLI::App& app, const config::Setting& setting);

  std::string file_;
  std::vector<config::Section> in_use_;  // what they ask for must be built in
  std::deque<Declared> declared_;        // a deque: CLI11 keeps the addresses of the texts
};

// Writes a failure to standard error, "ca4 WHO: message" (a configuration problem as it is: it
// begins with its own place), and returns the exit code. Ok is silent and 0.
int report(std::string_view who, const Status& status);

// Checks of a command's own options, which refuse as those of settings do: "must be one of table,
// json, not 'xml'" and "must be a whole number from 1 to 3600, not '0'". Usage errors (exit code
// 2).
CLI::Validator one_of(const std::vector<std::string>& words);
CLI::Validator whole_number(int64_t min, int64_t max);

// Adds --format, one of `choices`; `format` holds the default before and the choice after parsing.
void add_format(CLI::App& app, std::string& format, const std::vector<std::string>& choices);

// Adds a command of its own below a subcommand; the options of `app` may stand behind its name too.
CLI::App* add_command(CLI::App& app, const char* name, const char* summary);

// The bearer token in the first line of a file, without blanks around it; empty without a path.
// kConfig when there is none or it holds what no token can (RFC 6750).
Result<std::string> read_token(const std::string& path);

// Ok without a path. kConfig, naming the setting, unless the file holds certificates.
Status check_ca_file(std::string_view setting, const std::string& path);

// Variables of this process. Call before threads start that might change them.
std::optional<std::string> environment(const std::string& name);

}  // namespace ca4::cli
