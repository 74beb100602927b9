// The compact embedding: what is taken is what another decoder makes of it, and every row of finite
// floats comes back from its own base64.
#include <openssl/evp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

bool take(std::string_view base64, event::Event& out) {
  static event::Parser parser;
  event::Refusal why;
  return parse(parser, fmt::format(R"({{"embedding_b64":"{}"}})", base64), out, why);
}

std::string encoded(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(bytes.data()),
                                     static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(length));
  return out;
}

// Taken text: the floats' bytes are OpenSSL's.
void compare(std::string_view text, const event::Event& event) {
  std::string bytes(text.size() / 4 * 3 + 1, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  require(length >= 0, "what is taken is base64", text);
  const size_t float_bytes = event.embedding.size() * sizeof(float);
  require(static_cast<size_t>(length) >= float_bytes &&
              std::memcmp(bytes.data(), event.embedding.data(), float_bytes) == 0,
          "the floats are the text's", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = text_of(data, size);
  event::Event event;
  // An escape is JSON's: OpenSSL would see it as it is written.
  const bool plain = text.find_first_of("\"\\") == std::string_view::npos;
  if (take(text, event) && plain) compare(text, event);

  std::vector<float> floats(size / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), data, floats.size() * sizeof(float));
  const bool finite =
      std::all_of(floats.begin(), floats.end(), [](float f) { return std::isfinite(f); });
  const bool good = !floats.empty() && floats.size() <= event::kDimMax && finite;
  require(take(encoded(text.substr(0, floats.size() * sizeof(float))), event) == good,
          "finite floats are taken, others are not");
  if (good)
    require(std::memcmp(event.embedding.data(), floats.data(), floats.size() * sizeof(float)) == 0,
            "as sent");
  return 0;
}
