#include "log/headers_codec.h"

#include <cstdint>
#include <optional>

namespace ca4::log {
namespace {

void put(std::string& out, std::string_view text) {
  const auto size = static_cast<uint32_t>(text.size());
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(size >> shift));
  out.append(text);
}

std::optional<std::string_view> take(std::string_view& bytes) {
  if (bytes.size() < 4) return std::nullopt;
  size_t size = 0;
  for (size_t i = 0; i < 4; ++i) size |= size_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  if (size > bytes.size() - 4) return std::nullopt;
  const std::string_view text = bytes.substr(4, size);
  bytes.remove_prefix(4 + size);
  return text;
}

}  // namespace

std::string encode_headers(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers) {
    put(out, name);
    put(out, value);
  }
  return out;
}

Result<Headers> decode_headers(std::string_view bytes) {
  Headers headers;
  while (!bytes.empty()) {
    const auto name = take(bytes);
    const auto value = name ? take(bytes) : std::nullopt;
    if (!value) return Status(Code::kCorruption, "headers end in the middle of a field");
    headers.emplace_back(*name, *value);
  }
  return headers;
}

}  // namespace ca4::log
