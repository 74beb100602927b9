#include "store/bson_json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <memory>

#include "event/json_text.h"

// simdjson reports through exceptions here; JsonToBson's methods turn them into a Status.
namespace ca4::store {
namespace {

namespace od = simdjson::ondemand;

struct Escape {
  char character;
  std::string_view code;
};
constexpr Escape kEscapes[] = {{'.', "%2E"}, {'$', "%24"}, {'%', "%25"}, {'\0', "%00"}};

// The escape that `text` begins with, or none.
const Escape* escape_at(std::string_view text) {
  for (const Escape& escape : kEscapes) {
    if (text.starts_with(escape.code)) return &escape;
  }
  return nullptr;
}

// A document or array inside another, for as long as this lives.
class Child {
 public:
  Child(bson_t& parent, std::string_view name, bool array) : parent_(parent), array_(array) {
    const auto size = static_cast<int>(name.size());
    if (array_) {
      bson_append_array_begin(&parent_, name.data(), size, &child_);
    } else {
      bson_append_document_begin(&parent_, name.data(), size, &child_);
    }
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (array_) {
      bson_append_array_end(&parent_, &child_);
    } else {
      bson_append_document_end(&parent_, &child_);
    }
  }
  bson_t& bson() { return child_; }

 private:
  bson_t& parent_;
  const bool array_;
  bson_t child_;
};

std::string_view token_of(od::value& value) {
  const std::string_view token = value.raw_json_token();
  return token.substr(0, token.find_last_not_of(" \t\n\r") + 1);
}

void append_number(bson_t& to, std::string_view name, std::string_view token) {
  const auto size = static_cast<int>(name.size());
  if (!event::is_json_number(token)) throw simdjson::simdjson_error(simdjson::NUMBER_ERROR);
  const char* const end = token.data() + token.size();
  int64_t whole = 0;
  const auto [stopped, error] = std::from_chars(token.data(), end, whole);
  if (error == std::errc() && stopped == end) {
    bson_append_int64(&to, name.data(), size, whole);
    return;
  }
  double number = 0;
  // from_chars says of a number too small for a double only that it is out of range.
  if (std::from_chars(token.data(), end, number).ec != std::errc()) {
    number = std::strtod(std::string(token).c_str(), nullptr);
  }
  bson_append_double(&to, name.data(), size, number);
}

void append_value(bson_t& to, std::string_view name, od::value value, size_t depth);

void append_object(bson_t& to, std::string_view name, od::object object, size_t depth) {
  Child child(to, name, false);
  std::string scratch;
  for (auto field : object) {
    const std::string_view key = field.unescaped_key().value();
    append_value(child.bson(), encode_field_name(key, scratch), field.value(), depth + 1);
  }
}

void append_array(bson_t& to, std::string_view name, od::array array, size_t depth) {
  Child child(to, name, true);
  uint32_t index = 0;
  std::array<char, 16> digits;
  for (auto element : array) {
    const char* key = nullptr;
    const size_t size = bson_uint32_to_string(index++, &key, digits.data(), digits.size());
    append_value(child.bson(), {key, size}, element.value(), depth + 1);
  }
}

void append_value(bson_t& to, std::string_view name, od::value value, size_t depth) {
  if (depth > kBsonDepthMax) throw simdjson::simdjson_error(simdjson::DEPTH_ERROR);
  const auto size = static_cast<int>(name.size());
  switch (value.type().value()) {
    case od::json_type::object:
      return append_object(to, name, value.get_object().value(), depth);
    case od::json_type::array:
      return append_array(to, name, value.get_array().value(), depth);
    case od::json_type::string: {
      const std::string_view text = value.get_string().value();
      bson_append_utf8(&to, name.data(), size, text.data(), static_cast<int>(text.size()));
      return;
    }
    case od::json_type::boolean:
      bson_append_bool(&to, name.data(), size, value.get_bool().value());
      return;
    case od::json_type::null:
      if (!value.is_null()) throw simdjson::simdjson_error(simdjson::N_ATOM_ERROR);
      bson_append_null(&to, name.data(), size);
      return;
    case od::json_type::number:
      return append_number(to, name, token_of(value));
  }
}

Status refuse(std::string_view what, const simdjson::simdjson_error& error) {
  if (error.error() == simdjson::DEPTH_ERROR) {
    return {Code::kInvalidArgument,
            fmt::format("{}: nested deeper than {} levels", what, kBsonDepthMax)};
  }
  if (error.error() == simdjson::UTF8_ERROR) {
    return {Code::kInvalidArgument, "text that is not UTF-8"};
  }
  return {Code::kInvalidArgument,
          fmt::format("{}: not JSON: {}", what, simdjson::error_message(error.error()))};
}

void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 32> buffer;
  const char* const end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos) out += ".0";
}

void append_children(std::string& out, const bson_iter_t& at, bool array) {
  bson_iter_t child;
  if (!bson_iter_recurse(&at, &child)) {
    out += "null";
    return;
  }
  out += array ? '[' : '{';
  for (bool first = true; bson_iter_next(&child); first = false) {
    if (!first) out += ',';
    if (!array) {
      event::append_json_string(out, decode_field_name(bson_iter_key(&child)));
      out += ':';
    }
    append_json(out, child);
  }
  out += array ? ']' : '}';
}

// libbson writes documents only: the value as the one member of one, and that cut off again.
void append_extended(std::string& out, const bson_iter_t& at) {
  bson_t document;
  bson_init(&document);
  bson_append_iter(&document, "", 0, &at);
  const std::unique_ptr<char, decltype(&bson_free)> text(
      bson_as_relaxed_extended_json(&document, nullptr), bson_free);
  bson_destroy(&document);
  const std::string_view json = text ? text.get() : "{ \"\" : null }";
  const size_t begin = json.find(':') + 2;
  out += json.substr(begin, json.size() - 2 - begin);
}

}  // namespace

std::string_view encode_field_name(std::string_view name, std::string& scratch) {
  if (!name.starts_with('$') && name.find_first_of(std::string_view(".%\0", 3)) == name.npos) {
    return name;
  }
  scratch.clear();
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool encoded = c == '.' || c == '\0' || (c == '$' && i == 0) ||
                         (c == '%' && escape_at(name.substr(i)) != nullptr);
    if (!encoded) {
      scratch += c;
      continue;
    }
    for (const Escape& escape : kEscapes) {
      if (escape.character == c) scratch += escape.code;
    }
  }
  return scratch;
}

std::string decode_field_name(std::string_view name) {
  std::string decoded;
  while (!name.empty()) {
    const Escape* const escape = escape_at(name);
    decoded += escape != nullptr ? escape->character : name.front();
    name.remove_prefix(escape != nullptr ? escape->code.size() : 1);
  }
  return decoded;
}

Status JsonToBson::append(bson_t& to, std::string_view name, std::string_view json) {
  try {
    // A value that is no object or array can't be taken from a document of its own.
    padded_.assign("[").append(json).append("]");
    const size_t size = padded_.size();
    padded_.append(simdjson::SIMDJSON_PADDING, '\0');
    od::document document = parser_.iterate(padded_.data(), size, padded_.size());
    size_t values = 0;
    for (auto value : document.get_array()) {
      if (++values == 1) append_value(to, name, value.value(), 1);
    }
    if (values == 1 && document.current_location().error() == simdjson::OUT_OF_BOUNDS) {
      return Status::ok();
    }
    return {Code::kInvalidArgument, fmt::format("{}: not one JSON value", name)};
  } catch (const simdjson::simdjson_error& error) {
    return refuse(name, error);
  }
}

Status JsonToBson::append_members(bson_t& to, std::string_view object,
                                  const std::function<bool(std::string_view name)>& wanted) {
  try {
    padded_.assign(object);
    padded_.append(simdjson::SIMDJSON_PADDING, '\0');
    od::document document = parser_.iterate(padded_.data(), object.size(), padded_.size());
    std::string scratch;
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key().value();
      if (!wanted(key)) continue;
      append_value(to, encode_field_name(key, scratch), field.value(), 1);
    }
    return Status::ok();
  } catch (const simdjson::simdjson_error& error) {
    return refuse("unknown fields", error);
  }
}

void append_json(std::string& out, const bson_iter_t& at) {
  switch (bson_iter_type(&at)) {
    case BSON_TYPE_DOUBLE:
      return append_double(out, bson_iter_double(&at));
    case BSON_TYPE_UTF8: {
      uint32_t size = 0;
      const char* const text = bson_iter_utf8(&at, &size);
      return event::append_json_string(out, {text, size});
    }
    case BSON_TYPE_DOCUMENT:
      return append_children(out, at, false);
    case BSON_TYPE_ARRAY:
      return append_children(out, at, true);
    case BSON_TYPE_BOOL:
      out += bson_iter_bool(&at) ? "true" : "false";
      return;
    case BSON_TYPE_NULL:
      out += "null";
      return;
    case BSON_TYPE_INT32:
    case BSON_TYPE_INT64:
      fmt::format_to(std::back_inserter(out), "{}", bson_iter_as_int64(&at));
      return;
    default:
      return append_extended(out, at);
  }
}

}  // namespace ca4::store
