#include "config/excerpt.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/text.h"
#include "config/value.h"

namespace ca4::config {
namespace {

// More than a wide terminal shows; what follows helps nobody.
constexpr size_t kLineBytesMax = 240;

bool starts_code_point(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

// The caret's indentation: as wide as the line's text before `column`, tabs kept.
std::string indent_to(std::string_view line, size_t column) {
  std::string indent;
  for (const char c : line) {
    if (!starts_code_point(c)) continue;
    if (indent.size() + 1 >= column) break;
    indent += c == '\t' ? '\t' : ' ';
  }
  return indent;
}

std::string printable(std::string line) {
  for (char& c : line) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t') || byte == 0x7f) c = '?';
  }
  return line;
}

}  // namespace

std::string point_at(std::string_view file, std::string_view text, Place place,
                     std::string_view message, std::string_view hint) {
  const std::string_view source = line_of(text, place.line);
  std::string line = printable(mask_secrets(source));
  // Past a masked secret columns no longer fit: the caret stops where the texts part.
  const auto parted = std::mismatch(source.begin(), source.end(), line.begin(), line.end());
  const auto masked_at = static_cast<size_t>(parted.first - source.begin());
  const size_t column =
      line.size() == source.size() ? place.column : std::min(place.column, masked_at + 1);

  std::string indent = indent_to(line, column);
  if (line.size() > kLineBytesMax) {
    size_t end = kLineBytesMax;
    while (end > 0 && !starts_code_point(line[end])) --end;
    line.resize(end);
    line += "...";
    indent.resize(std::min(indent.size(), end));
  }
  return fmt::format("{}:{}:{}: {}\n{}\n{}^{}{}", file, place.line, place.column, message, line,
                     indent, hint.empty() ? "" : " ", hint);
}

}  // namespace ca4::config
