#include "event/embedding.h"

#include <fmt/format.h>
#include <modp_b64.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "event/json_copy.h"
#include "event/json_text.h"

namespace ca4::event {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(std::endian::native == std::endian::little, "floats are copied as they lie");

// What most image models give; saves growing step by step. A larger list doubles.
constexpr size_t kDimUsual = 2048;
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

// Length and alphabet checked, `text` becomes bytes in `scratch`.
bool decode_base64(std::string_view text, std::string& scratch, Refusal& why) {
  if (text.size() > kBase64BytesMax) return refuse_too_many(why);
  if (text.empty()) return refuse_content(why, "must not be empty");
  if (text.size() % 4 != 0) {
    return refuse_content(why, "not base64: the length is not a multiple of 4, padding included");
  }
  scratch.resize(modp_b64_decode_len(text.size()));
  const size_t bytes = modp_b64_decode(scratch.data(), text.data(), text.size());
  if (bytes == std::numeric_limits<size_t>::max()) {
    return refuse_content(why, "not base64: a character outside the standard alphabet");
  }
  scratch.resize(bytes);
  return true;
}

}  // namespace

bool read_float_list(ondemand::value value, std::vector<float>& out, Refusal& why) {
  if (!token_of(value).starts_with('[')) {
    return refuse_content(why, "must be a list of numbers");
  }
  ondemand::array array;
  if (auto error = value.get_array().get(array)) return refuse_syntax(why, error);
  // Written through an index into a vector already long enough: push_back costs a tenth more here.
  out.resize(std::max(out.size(), kDimUsual));
  size_t count = 0;
  for (auto element : array) {
    ondemand::value number;
    if (auto error = std::move(element).get(number)) {
      refuse_syntax(why, error);
      prefix_index(why, count);
      return false;
    }
    if (count == out.size()) {
      if (count == kDimMax) return refuse_too_many(why);
      out.resize(std::min(kDimMax, count * 2));
    }
    double wide = 0;
    const auto error = number.get_double().get(wide);
    const auto narrow = static_cast<float>(wide);
    if (error || !std::isfinite(narrow)) [[unlikely]] {
      refuse_element(token_of(number), why);
      prefix_index(why, count);
      return false;
    }
    out[count++] = narrow;
  }
  out.resize(count);
  return count > 0 || refuse_content(why, "must not be empty");
}

bool read_float_base64(ondemand::value value, std::string& scratch, std::vector<float>& out,
                       Refusal& why) {
  std::string_view text = token_of(value);
  if (!text.starts_with('"')) return refuse_content(why, "must be a base64 string");
  if (text.size() < 2 || !text.ends_with('"')) return refuse_syntax(why, simdjson::TAPE_ERROR);
  if (text.find('\\') == std::string_view::npos) {
    text = text.substr(1, text.size() - 2);  // no escapes: read in place, without a copy
  } else if (auto error = value.get_string().get(text)) {
    return refuse_syntax(why, error);
  }
  if (!decode_base64(text, scratch, why)) return false;
  if (scratch.size() % sizeof(float) != 0) {
    return refuse_content(
        why, fmt::format("decodes to {} bytes, not a multiple of 4 (float32)", scratch.size()));
  }
  const size_t count = scratch.size() / sizeof(float);
  if (count > kDimMax) return refuse_too_many(why);
  out.resize(count);
  std::memcpy(out.data(), scratch.data(), scratch.size());
  const auto bad = std::find_if(out.begin(), out.end(), [](float f) { return !std::isfinite(f); });
  if (bad == out.end()) return true;
  refuse_content(why, "must be a finite float32, not NaN or infinity");
  prefix_index(why, static_cast<size_t>(bad - out.begin()));
  return false;
}

}  // namespace ca4::event
