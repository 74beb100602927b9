#include "http/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace ca4::http {

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] == '%') {
      if (text.size() - i < 3) return std::nullopt;
      unsigned char byte = 0;
      const char* digits = text.data() + i + 1;
      const auto read = std::from_chars(digits, digits + 2, byte, 16);
      if (read.ec != std::errc() || read.ptr != digits + 2) return std::nullopt;
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kUnreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::optional<ParameterError> Parameters::parse(std::string_view query,
                                                std::span<const std::string_view> allowed,
                                                Parameters& out) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    const auto name = percent_decode(pair.substr(0, equals), true);
    const auto value = percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) {
      return ParameterError{std::string(pair.substr(0, equals)),
                            "has a '%' without two hexadecimal digits after it"};
    }
    if (std::ranges::find(allowed, *name) == allowed.end()) {
      return ParameterError{*name,
                            fmt::format("is unknown here; known: {}", fmt::join(allowed, ", "))};
    }
    if (!out.values_.emplace(*name, *value).second) return ParameterError{*name, "is given twice"};
  }
  return std::nullopt;
}

std::optional<std::string> Parameters::text(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

std::optional<ParameterError> Parameters::number(const std::string& name, size_t min, size_t max,
                                                 size_t& out) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  const std::string& value = found->second;
  size_t number = 0;
  const char* end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end || number < min || number > max) {
    return ParameterError{name, fmt::format("must be a whole number from {} to {}", min, max)};
  }
  out = number;
  return std::nullopt;
}

}  // namespace ca4::http
