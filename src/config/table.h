// The one table of settings. Parsing the file, the environment and the flags, printing, the
// documentation and shell completion all walk it; a setting that is not in it does not exist.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/status.h"
#include "config/settings.h"

namespace ca4::config {

enum class Section {
  kGeneral,
  kProcessor,
  kLog,
  kKafka,
  kWorker,
  kArchive,
  kStore,
  kProducer,
  kTunnel,
  kAdmin,
  kLogging
};

inline constexpr Section kAllSections[] = {
    Section::kGeneral, Section::kProcessor, Section::kLog,    Section::kKafka,
    Section::kWorker,  Section::kArchive,   Section::kStore,  Section::kProducer,
    Section::kTunnel,  Section::kAdmin,     Section::kLogging};

// The TOML table's name; empty for the top level.
std::string_view section_name(Section section);
// One line for people: what the section is about.
std::string_view section_title(Section section);

struct WholeNumber {
  int64_t& (*field)(Settings&);
  int64_t min;
  int64_t max;
  std::string_view unit;  // "bytes", "ms", "s", or what is counted: "threads"
};

struct Text {
  std::string& (*field)(Settings&);
  std::string_view placeholder;       // "FILE", as --help shows it
  Status (*check)(std::string_view);  // null: any text
};

struct Choice {
  std::string& (*field)(Settings&);
  std::span<const std::string_view> words;
};

struct Switch {
  bool& (*field)(Settings&);
};

struct Setting {
  Section section;
  std::string_view key;   // in its TOML section
  std::string_view env;   // the variable that overrides the file
  std::string_view flag;  // overrides the variable; empty: none (a command line is no secret)
  std::string_view help;  // one line, unit and special values included
  std::variant<WholeNumber, Text, Choice, Switch> type;
  // When set, a non-empty value is refused with this text: the key is known, what it asks for is
  // not built in.
  std::string_view unsupported = {};

  // "processor.listen"
  std::string name() const;
};

// All settings, grouped by section in the order of kAllSections. Constant.
std::span<const Setting> table();

}  // namespace ca4::config
