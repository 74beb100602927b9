#include "cli/dlq_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "event/event.h"

namespace ca4::cli {

namespace {

using Json = nlohmann::ordered_json;
using worker::DeadLetter;

constexpr size_t kKeyCharsMax = 36;     // a UUID; longer keys are seen in full with `show`
constexpr size_t kReasonCharsMax = 60;  // with the columns before it: 140 columns
constexpr size_t kFloatsShown = 8;      // enough to see whether it is an embedding at all
constexpr size_t kHexBytesPerLine = 16;

// Keys, headers and reasons may hold any bytes: what isn't UTF-8 is replaced, never refused.
std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Cut at a character, never inside one.
std::string shortened(const std::string& text, size_t chars_max) {
  if (text.size() <= chars_max) return text;
  size_t end = chars_max - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  return text.substr(0, end) + "...";
}

std::string hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string hex_dump(std::string_view bytes) {
  std::string text;
  const size_t shown = std::min(bytes.size(), kHexBytesMax);
  for (size_t at = 0; at < shown; at += kHexBytesPerLine) {
    const std::string_view line = bytes.substr(at, std::min(kHexBytesPerLine, shown - at));
    std::string columns, letters;
    for (const char c : line) {
      columns += fmt::format("{:02x} ", static_cast<unsigned char>(c));
      letters += c >= ' ' && c <= '~' ? c : '.';
    }
    text += fmt::format("  {:06x}  {:<48} {}\n", at, columns, letters);
  }
  if (shown < bytes.size()) text += fmt::format("  ... {} bytes more\n", bytes.size() - shown);
  return text;
}

std::string value_text(const DeadLetter& letter) {
  event::ValueReader reader;
  const Result<event::EventView> event = worker::read_event(letter, reader);
  if (!event) {
    return fmt::format("value: {} bytes, no event: {}\n", letter.value.size(),
                       printable(event.status().message())) +
           hex_dump(letter.value);
  }
  const Json meta = Json::parse(event->meta_json, nullptr, false);
  const std::vector<float> embedding = event->embedding();
  std::string floats;
  for (size_t i = 0; i < std::min(embedding.size(), kFloatsShown); ++i) {
    floats += fmt::format("{}{}", i == 0 ? "" : ", ", embedding[i]);
  }
  if (embedding.size() > kFloatsShown) floats += ", ...";
  return fmt::format("event:\n{}\nembedding: {} floats [{}]\n",
                     meta.is_discarded() ? printable(event->meta_json) : dump(meta, 2),
                     embedding.size(), floats);
}

}  // namespace

std::string table_head() {
  return fmt::format("{:<27}  {:<10}  {:<36}  {:<9}  {}\n", "WHEN", "SOURCE", "KEY", "STAGE",
                     "REASON");
}

std::string table_row(const DeadLetter& letter) {
  return fmt::format("{:<27}  {:<10}  {:<36}  {:<9}  {}\n", printable(letter.failed_at),
                     letter.name(), shortened(printable(letter.key), kKeyCharsMax),
                     printable(letter.stage), shortened(printable(letter.reason), kReasonCharsMax));
}

std::string letter_text(const DeadLetter& letter) {
  std::string text =
      fmt::format("letter: {}\nkey:    {}\ntopic:  {}\nwhen:   {}\nstage:  {}\nreason: {}\n",
                  letter.name(), printable(letter.key), printable(letter.source_topic),
                  printable(letter.failed_at), printable(letter.stage), printable(letter.reason));
  for (const auto& [name, value] : letter.headers) {
    text += fmt::format("header: {}: {}\n", printable(name), printable(value));
  }
  return text + value_text(letter);
}

std::string letter_json(const DeadLetter& letter, bool with_value) {
  Json json;
  json["id"] = letter.name();
  json["key"] = letter.key;
  json["stage"] = letter.stage;
  json["reason"] = letter.reason;
  json["failed_at"] = letter.failed_at;
  json["source_topic"] = letter.source_topic;
  if (letter.source) {
    json["source_partition"] = letter.source->partition;
    json["source_offset"] = letter.source->offset;
  }
  json["value_bytes"] = letter.value.size();
  if (!with_value) return dump(json) + "\n";

  json["headers"] = Json::array();
  for (const auto& [name, value] : letter.headers) {
    json["headers"].push_back({{"name", name}, {"value", value}});
  }
  event::ValueReader reader;
  const Result<event::EventView> event = worker::read_event(letter, reader);
  if (!event) {
    json["value_hex"] = hex(std::string_view(letter.value).substr(0, kHexBytesMax));
    return dump(json) + "\n";
  }
  // Spliced in as it is: parsed and printed again, its float32 numbers would get double's digits.
  std::string line = dump(json);
  line.pop_back();
  return line + ",\"event\":" + event::to_wire_json(*event) + "}\n";
}

std::string counts_text(const LetterCounts& counts) {
  std::string text = fmt::format("{} dead letter{}, {} not replayed\n", counts.letters,
                                 counts.letters == 1 ? "" : "s", counts.waiting);
  for (const auto& [stage, letters] : counts.by_stage) {
    text += fmt::format("  {:<9}  {}\n", printable(stage), letters);
  }
  return text;
}

std::string counts_json(const LetterCounts& counts) {
  Json json;
  json["letters"] = counts.letters;
  json["waiting"] = counts.waiting;
  json["by_stage"] = counts.by_stage;
  return dump(json) + "\n";
}

}  // namespace ca4::cli
