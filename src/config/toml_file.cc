#include "config/toml_file.h"

#define TOML_EXCEPTIONS 0
// Version 3.3 asserts what a stray byte in a key makes untrue, and refuses the byte a line later.
#define TOML_ASSERT(expression) static_cast<void>(0)
#include <toml++/toml.h>

#include <algorithm>
#include <cctype>

#include "config/text.h"

namespace ca4::config {
namespace {

Place place_of(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

std::string_view kind_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::floating_point:
      return "a floating-point number";
    default:
      return "a date or time";
  }
}

TomlEntry entry_of(const toml::key& key, const toml::node& node) {
  TomlEntry entry{std::string(key.str()), place_of(key.source()), place_of(node.source()),
                  OtherKind{kind_name(node.type())}};
  if (const auto* text = node.as_string()) entry.value = text->get();
  if (const auto* number = node.as_integer()) entry.value = number->get();
  if (const auto* flag = node.as_boolean()) entry.value = flag->get();
  return entry;
}

TomlSection section_of(std::string_view name, Place place, const toml::table& table) {
  TomlSection section{std::string(name), place, {}};
  for (const auto& [key, node] : table) section.entries.push_back(entry_of(key, node));
  return section;
}

// toml++ says "Error while parsing X: Y"; the place already tells X.
std::string message_of(std::string_view description) {
  if (description.starts_with("Error while parsing")) {
    const size_t colon = description.find(": ");
    if (colon != std::string_view::npos) description.remove_prefix(colon + 2);
  }
  return std::string(description);
}

// Other kinds of settings files have text without quotes, and other words for true and false.
std::string hint_for(std::string_view line) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) return {};
  const std::string_view value = trimmed(line.substr(equals + 1, line.find('#') - equals - 1));
  if (value.empty()) return {};
  for (const std::string_view word : {"True", "TRUE", "yes", "on"}) {
    if (value == word) return "true, in small letters and without quotes";
  }
  for (const std::string_view word : {"False", "FALSE", "no", "off"}) {
    if (value == word) return "false, in small letters and without quotes";
  }
  const auto within = [&](std::string_view marks) {
    return marks.find(value.front()) != std::string_view::npos;
  };
  const bool word = std::isalpha(static_cast<unsigned char>(value.front())) != 0 || within("/.~");
  const bool address = within("0123456789") && value.find(':') != std::string_view::npos;
  return word || address ? "a text stands in quotes" : "";
}

}  // namespace

TomlText parse_toml(std::string_view text) {
  const toml::parse_result parsed = toml::parse(text);
  if (parsed.failed()) {
    const toml::parse_error& error = parsed.error();
    const Place place = place_of(error.source());
    return {{},
            TomlFault{place, message_of(error.description()), hint_for(line_of(text, place.line))}};
  }
  TomlText out;
  TomlSection top{"", {1, 1}, {}};
  for (const auto& [key, node] : parsed.table()) {
    if (const auto* table = node.as_table()) {
      out.sections.push_back(section_of(key.str(), place_of(key.source()), *table));
    } else {
      top.entries.push_back(entry_of(key, node));
    }
  }
  out.sections.push_back(std::move(top));
  return out;
}

}  // namespace ca4::config
