#include "config/value.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>

namespace ca4::config {
namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

Status refuse(std::string why) {
  return {Code::kInvalidArgument, std::move(why)};
}

std::string in_quotes(std::string_view text) {
  return fmt::format("'{}'", mask_secrets(text));
}

// Reading only: the fields are reached through accessors of a mutable Settings.
template <class Type>
auto& field(const Type& type, const Settings& settings) {
  return type.field(const_cast<Settings&>(settings));
}

Status set_range(const WholeNumber& type, int64_t value, Settings& settings) {
  if (value < type.min || value > type.max) {
    return refuse(fmt::format("must be {} to {} {}, not {}", type.min, type.max, type.unit, value));
  }
  type.field(settings) = value;
  return Status::ok();
}

Status set_number_text(const Setting& setting, const WholeNumber& type, std::string_view text,
                       Settings& settings) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range) {
    return refuse(fmt::format("must be {} to {} {}, not {}", type.min, type.max, type.unit, text));
  }
  if (error != std::errc() || end != text.data() + text.size()) {
    return wrong_type(setting, in_quotes(text));
  }
  return set_range(type, value, settings);
}

Status set_string(const Text& type, std::string_view text, Settings& settings) {
  if (text.find('\0') != std::string_view::npos) return refuse("must not contain a zero byte");
  if (type.check != nullptr) {
    if (const Status bad = type.check(text); !bad.is_ok()) {
      return text.empty() ? bad : refuse(fmt::format("{}; got {}", bad.message(), in_quotes(text)));
    }
  }
  type.field(settings) = text;
  return Status::ok();
}

Status set_choice(const Setting& setting, const Choice& type, std::string_view text,
                  Settings& settings) {
  if (std::find(type.words.begin(), type.words.end(), text) == type.words.end()) {
    return wrong_type(setting, in_quotes(text));
  }
  type.field(settings) = text;
  return Status::ok();
}

// Hides what lies between `begin` and `end`; returns where the text goes on.
size_t hide(std::string& text, size_t begin, size_t end) {
  constexpr std::string_view kMask = "****";
  text.replace(begin, end - begin, kMask);
  return begin + kMask.size();
}

}  // namespace

Status wrong_type(const Setting& setting, std::string_view got) {
  return refuse(fmt::format("must be {}, not {}", expected(setting), got));
}

Status set_text(const Setting& setting, std::string_view text, Settings& settings) {
  return std::visit(
      Overloaded{
          [&](const WholeNumber& type) { return set_number_text(setting, type, text, settings); },
          [&](const Text& type) { return set_string(type, text, settings); },
          [&](const Choice& type) { return set_choice(setting, type, text, settings); },
          [&](const Switch&) {
            if (text != "true" && text != "false") return wrong_type(setting, in_quotes(text));
            return set_switch(setting, text == "true", settings);
          },
      },
      setting.type);
}

Status set_whole_number(const Setting& setting, int64_t value, Settings& settings) {
  if (const auto* type = std::get_if<WholeNumber>(&setting.type)) {
    return set_range(*type, value, settings);
  }
  return wrong_type(setting, "a whole number");
}

Status set_switch(const Setting& setting, bool value, Settings& settings) {
  if (const auto* type = std::get_if<Switch>(&setting.type)) {
    type->field(settings) = value;
    return Status::ok();
  }
  return wrong_type(setting, value ? "true" : "false");
}

std::string expected(const Setting& setting) {
  return std::visit(Overloaded{
                        [](const WholeNumber& type) -> std::string {
                          return fmt::format("a whole number of {}", type.unit);
                        },
                        [](const Text&) -> std::string { return "a string"; },
                        [](const Choice& type) -> std::string {
                          return fmt::format("one of {}", fmt::join(type.words, ", "));
                        },
                        [](const Switch&) -> std::string { return "true or false"; },
                    },
                    setting.type);
}

std::string limits(const Setting& setting) {
  return std::visit(
      Overloaded{
          [](const WholeNumber& type) -> std::string {
            return fmt::format("{} to {}", type.min, type.max);
          },
          [](const Text& type) -> std::string { return std::string(type.placeholder); },
          [](const Choice& type) -> std::string {
            return fmt::format("{}", fmt::join(type.words, ", "));
          },
          [](const Switch&) -> std::string { return "true, false"; },
      },
      setting.type);
}

std::string placeholder(const Setting& setting) {
  return std::visit(
      Overloaded{
          [](const WholeNumber&) -> std::string { return "N"; },
          [](const Text& type) -> std::string { return std::string(type.placeholder); },
          [](const Choice& type) -> std::string {
            return fmt::format("{}", fmt::join(type.words, "|"));
          },
          [](const Switch&) -> std::string { return ""; },
      },
      setting.type);
}

std::string value_text(const Setting& setting, const Settings& settings) {
  return std::visit(
      Overloaded{
          [&](const WholeNumber& type) { return std::to_string(field(type, settings)); },
          [&](const Text& type) { return mask_secrets(field(type, settings)); },
          [&](const Choice& type) { return field(type, settings); },
          [&](const Switch& type) { return std::string(field(type, settings) ? "true" : "false"); },
      },
      setting.type);
}

std::string value_literal(const Setting& setting, const Settings& settings) {
  const bool is_string =
      std::holds_alternative<Text>(setting.type) || std::holds_alternative<Choice>(setting.type);
  const std::string text = value_text(setting, settings);
  return is_string ? quoted(text) : text;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out += '"';
}

std::string mask_secrets(std::string_view text) {
  std::string out(text);
  if (const size_t scheme = out.find("://"); scheme != std::string::npos) {
    const size_t user = scheme + 3;
    const size_t colon = out.find(':', user);
    // The last '@': a password with an unescaped one is hidden whole.
    const size_t at = out.rfind('@');
    if (colon != std::string::npos && at != std::string::npos && colon < at) {
      hide(out, colon + 1, at);
    }
  }
  for (const std::string_view option :
       {"tlsCertificateKeyFilePassword=", "authMechanismProperties="}) {
    for (size_t at = out.find(option); at != std::string::npos; at = out.find(option, at)) {
      const size_t begin = at + option.size();
      const size_t end = std::min(out.find_first_of("&\"' ", begin), out.size());
      at = hide(out, begin, end);
    }
  }
  return out;
}

}  // namespace ca4::config
