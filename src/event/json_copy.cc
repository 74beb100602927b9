#include "event/json_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/json_text.h"

namespace ca4::event {
namespace {

namespace ondemand = simdjson::ondemand;

// A field's name in an error message is for a person; more than this is noise or an attack.
constexpr size_t kKeyExcerptBytesMax = 64;

bool copy_object(ondemand::object object, size_t depth, std::string& out, Refusal& why) {
  std::vector<std::string_view> keys;
  keys.reserve(kKeysUsual);
  out += '{';
  for (auto member : object) {
    ondemand::field field;
    if (auto error = std::move(member).get(field)) return refuse_syntax(why, error);
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return refuse_syntax(why, error);
    if (!keys.empty()) out += ',';
    keys.push_back(key);
    append_json_string(out, key);
    out += ':';
    if (!copy_value(field.value(), depth + 1, out, why)) {
      prefix_field(why, key);
      return false;
    }
  }
  out += '}';
  return !has_duplicate(keys, why);
}

bool copy_array(ondemand::array array, size_t depth, std::string& out, Refusal& why) {
  size_t index = 0;
  out += '[';
  for (auto element : array) {
    ondemand::value value;
    if (auto error = std::move(element).get(value)) return refuse_syntax(why, error);
    if (index > 0) out += ',';
    if (!copy_value(value, depth + 1, out, why)) {
      prefix_index(why, index);
      return false;
    }
    ++index;
  }
  out += ']';
  return true;
}

bool copy_scalar(std::string_view token, std::string& out, Refusal& why) {
  if (token == "null" || token == "true" || token == "false") {
    out += token;
    return true;
  }
  if (token == "NaN" || token == "Infinity" || token == "-Infinity") {
    return refuse_content(why, fmt::format("{} is not a finite number", token));
  }
  if (!is_json_number(token)) return refuse_syntax(why, simdjson::NUMBER_ERROR);
  if (!is_finite_number(token)) return refuse_content(why, "number too large for a double");
  out += token;
  return true;
}

}  // namespace

bool refuse_syntax(Refusal& why, simdjson::error_code error) {
  why.malformed = true;
  switch (error) {
    case simdjson::UTF8_ERROR:
      why.reason = "not valid UTF-8";
      break;
    case simdjson::STRING_ERROR:
      why.reason = "invalid JSON: a bad escape in a string, or half a surrogate pair";
      break;
    case simdjson::UNCLOSED_STRING:
      why.reason = "invalid JSON: a string without its closing quote";
      break;
    case simdjson::UNESCAPED_CHARS:
      why.reason = "invalid JSON: an unescaped control character in a string";
      break;
    case simdjson::NUMBER_ERROR:
      why.reason = "invalid JSON: not a value";
      break;
    case simdjson::INCOMPLETE_ARRAY_OR_OBJECT:
      why.reason = "invalid JSON: opening and closing brackets do not match";
      break;
    case simdjson::TAPE_ERROR:
      why.reason = "invalid JSON: a comma, colon, bracket or name is missing or out of place";
      break;
    default:
      why.reason = fmt::format("invalid JSON: {}", simdjson::error_message(error));
  }
  return false;
}

bool refuse_content(Refusal& why, std::string reason) {
  why.malformed = false;
  why.reason = std::move(reason);
  return false;
}

std::string_view trim_token(std::string_view raw) {
  return raw.substr(0, raw.find_last_not_of(" \t\n\r") + 1);
}

std::string_view token_of(ondemand::value& value) {
  return trim_token(value.raw_json_token());
}

void prefix_field(Refusal& why, std::string_view key) {
  const bool needs_dot = !why.field.empty() && why.field.front() != '[';
  why.field =
      fmt::format("{}{}{}", excerpt(key, kKeyExcerptBytesMax), needs_dot ? "." : "", why.field);
}

void prefix_index(Refusal& why, size_t index) {
  const bool needs_dot = !why.field.empty() && why.field.front() != '[';
  why.field = fmt::format("[{}]{}{}", index, needs_dot ? "." : "", why.field);
}

bool copy_value(ondemand::value value, size_t depth, std::string& out, Refusal& why) {
  if (depth > kDepthMax) {
    return refuse_content(why, fmt::format("nested deeper than {} levels", kDepthMax));
  }
  const std::string_view token = token_of(value);
  const char first = token.empty() ? '\0' : token.front();
  if (first == '{') {
    ondemand::object object;
    if (auto error = value.get_object().get(object)) return refuse_syntax(why, error);
    return copy_object(object, depth, out, why);
  }
  if (first == '[') {
    ondemand::array array;
    if (auto error = value.get_array().get(array)) return refuse_syntax(why, error);
    return copy_array(array, depth, out, why);
  }
  if (first == '"') {
    std::string_view text;
    if (auto error = value.get_string().get(text)) return refuse_syntax(why, error);
    append_json_string(out, text);
    return true;
  }
  return copy_scalar(token, out, why);
}

bool has_duplicate(std::vector<std::string_view>& keys, Refusal& why) {
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice == keys.end()) return false;
  why.field.clear();
  prefix_field(why, *twice);
  refuse_content(why, "given more than once");
  return true;
}

}  // namespace ca4::event
