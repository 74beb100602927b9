// The query part of a request's target.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::http {

// `text` with %XX decoded (RFC 3986), and '+' as a space where `plus_is_space` (HTML forms).
// Nothing when a '%' is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

// The other way round, for the value of a parameter.
std::string percent_encode(std::string_view text);

// What is wrong with one parameter, for the answer.
struct ParameterError {
  std::string name;
  std::string reason;
};

class Parameters {
 public:
  // Takes "a=1&b=x%20y" apart. A name not in `allowed`, or given twice, is an error: a misspelt
  // filter that silently matches everything would be worse.
  static std::optional<ParameterError> parse(std::string_view query,
                                             std::span<const std::string_view> allowed,
                                             Parameters& out);

  // The value; nothing when absent or empty.
  std::optional<std::string> text(const std::string& name) const;

  // The value as a number in [min, max], `out` unchanged when absent.
  std::optional<ParameterError> number(const std::string& name, size_t min, size_t max,
                                       size_t& out) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace ca4::http
