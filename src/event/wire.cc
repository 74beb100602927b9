#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/digest.h"
#include "event/event.h"
#include "event/float_text.h"

namespace ca4::event {
std::string to_wire_json(const EventView& event) {
  constexpr size_t kFloatTextBytes = 13;  // an ordinary float32 with its comma
  constexpr size_t kTogether = 64;  // floats that become text on the stack before they are copied
  std::string out;
  out.reserve(event.meta_json.size() + event.dim * kFloatTextBytes + 64);
  out = event.meta_json.substr(0, event.meta_json.size() - 1);  // without the closing brace
  out += R"(,"embedding":[)";
  std::array<float, kTogether> values;
  std::array<char, kTogether * kFloatTextBytesMax> text;
  for (size_t from = 0; from < event.dim; from += kTogether) {
    const auto some = std::span(values).first(std::min(kTogether, event.dim - from));
    std::memcpy(some.data(), event.embedding_bytes.data() + from * sizeof(float),
                some.size_bytes());
    out.append(text.data(), write_float_texts(text.data(), some));
  }
  if (event.dim > 0) out.pop_back();
  out += R"(],"ingested_at":)";
  out += unix_seconds_text(event.ingested_at_us);
  out += '}';
  return out;
}

std::string payload_hash(const EventView& event) {
  thread_local Sha256 hash;  // OpenSSL allocates three times for one
  hash.add(event.meta_json);
  hash.add(
      {reinterpret_cast<const char*>(event.embedding_bytes.data()), event.embedding_bytes.size()});
  return hash.hex();
}

}  // namespace ca4::event
