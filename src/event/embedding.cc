#include "event/embedding.h"

#include <fmt/format.h>
#include <modp_b64.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/json_copy.h"
#include "event/json_text.h"

namespace ca4::event {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(std::endian::native == std::endian::little, "floats are copied as they lie");

constexpr size_t kBase64BytesMax = (kDimMax * sizeof(float) + 2) / 3 * 4;

bool is_nan_literal(std::string_view token) {
  std::string lower(token.substr(0, 10));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  if (!lower.empty() && (lower.front() == '-' || lower.front() == '+')) lower.erase(0, 1);
  return token.size() <= 10 && (lower == "nan" || lower == "infinity" || lower == "inf");
}

bool refuse_too_many(Refusal& why) {
  return refuse_content(why, fmt::format("more than {} floats", kDimMax));
}

// Off the hot path: says why an element could not be read as a double.
bool refuse_element(std::string_view token, Refusal& why) {
  const char first = token.empty() ? '\0' : token.front();
  if (first == '"') return refuse_content(why, "must be a number, not a string");
  if (first == '[') return refuse_content(why, "must be a number, not a list");
  if (first == '{') return refuse_content(why, "must be a number, not an object");
  if (token == "null") return refuse_content(why, "must be a number, not null");
  if (token == "true" || token == "false") {
    return refuse_content(why, "must be a number, not a boolean");
  }
  if (is_nan_literal(token)) {
    return refuse_content(why, fmt::format("must be a finite number, not {}", token));
  }
  if (is_json_number(token)) return refuse_content(why, "not finite: too large for float32");
  return refuse_syntax(why, simdjson::NUMBER_ERROR);
}

// How many floats, from the first on, are finite.
size_t finite_count(const std::vector<float>& floats) {
  constexpr uint32_t kExponent = 0x7F80'0000;  // all ones: infinite, or not a number
  constexpr size_t kBlock = 32;
  size_t i = 0;
  for (; i + kBlock <= floats.size(); i += kBlock) {
    uint32_t bad = 0;  // no way out of this loop: then it becomes vector instructions
    for (size_t k = 0; k < kBlock; ++k) {
      bad |= (std::bit_cast<uint32_t>(floats[i + k]) & kExponent) == kExponent ? 1U : 0U;
    }
    if (bad != 0) break;
  }
  while (i < floats.size() && std::isfinite(floats[i])) ++i;
  return i;
}

// Length and alphabet checked, `text` becomes the floats whose bytes it stands for.
bool decode_base64(std::string_view text, std::vector<float>& out, Refusal& why) {
  if (text.size() > kBase64BytesMax) return refuse_too_many(why);
  if (text.empty()) return refuse_content(why, "must not be empty");
  if (text.size() % 4 != 0) {
    return refuse_content(why, "not base64: the length is not a multiple of 4, padding included");
  }
  out.resize(modp_b64_decode_len(text.size()) / sizeof(float) + 1);
  const size_t bytes =
      modp_b64_decode(reinterpret_cast<char*>(out.data()), text.data(), text.size());
  if (bytes == std::numeric_limits<size_t>::max()) {
    return refuse_content(why, "not base64: a character outside the standard alphabet");
  }
  if (bytes % sizeof(float) != 0) {
    return refuse_content(why,
                          fmt::format("decodes to {} bytes, not a multiple of 4 (float32)", bytes));
  }
  if (bytes > kDimMax * sizeof(float)) return refuse_too_many(why);
  out.resize(bytes / sizeof(float));
  return true;
}

// Digits that simdjson reads right; `nearest_double` says what it does with more.
constexpr size_t kDigitsSure = 19;

struct Numbers {
  size_t count = 0;
  simdjson::error_code error = simdjson::SUCCESS;
  std::string_view stopped_at;  // raw token of what is no double; empty where no element was found
};

// The whole list, as far as it is one of numbers; CAPACITY when it is too long. Infinities are left
// in it.
Numbers read_numbers(ondemand::array array, std::span<float, kDimMax> out) {
  size_t count = 0;
  for (auto element : array) {
    if (count == kDimMax) return {count, simdjson::CAPACITY, {}};
    double wide = 0;
    if (const auto error = element.get_double().get(wide)) {
      if (element.error()) return {count, error, {}};
      return {count, error, element.value_unsafe().raw_json_token()};
    }
    const std::string_view token = element.value_unsafe().raw_json_token();
    if (token.size() > kDigitsSure) wide = nearest_double(token);
    out[count++] = static_cast<float>(wide);
  }
  return {count, simdjson::SUCCESS, {}};
}

}  // namespace

bool read_float_list(ondemand::value value, std::span<float, kDimMax> scratch,
                     std::vector<float>& out, Refusal& why) {
  if (!token_of(value).starts_with('[')) {
    return refuse_content(why, "must be a list of numbers");
  }
  ondemand::array array;
  if (auto error = value.get_array().get(array)) return refuse_syntax(why, error);
  const Numbers read = read_numbers(array, scratch);
  if (read.error == simdjson::CAPACITY) return refuse_too_many(why);
  if (read.error) {
    if (read.stopped_at.empty()) {
      refuse_syntax(why, read.error);
    } else {
      refuse_element(trim_token(read.stopped_at), why);
    }
    prefix_index(why, read.count);
    return false;
  }
  out.assign(scratch.begin(), scratch.begin() + static_cast<ptrdiff_t>(read.count));
  if (out.empty()) return refuse_content(why, "must not be empty");
  const size_t finite = finite_count(out);
  if (finite == out.size()) return true;
  refuse_content(why, "not finite: too large for float32");
  prefix_index(why, finite);
  return false;
}

bool read_float_base64(ondemand::value value, std::vector<float>& out, Refusal& why) {
  std::string_view text = token_of(value);
  if (!text.starts_with('"')) return refuse_content(why, "must be a base64 string");
  if (text.size() < 2 || !text.ends_with('"')) return refuse_syntax(why, simdjson::TAPE_ERROR);
  if (text.find('\\') == std::string_view::npos) {
    text = text.substr(1, text.size() - 2);  // no escapes: read in place, without a copy
  } else if (auto error = value.get_string().get(text)) {
    return refuse_syntax(why, error);
  }
  if (!decode_base64(text, out, why)) return false;
  const size_t finite = finite_count(out);
  if (finite == out.size()) return true;
  refuse_content(why, "must be a finite float32, not NaN or infinity");
  prefix_index(why, finite);
  return false;
}

}  // namespace ca4::event
