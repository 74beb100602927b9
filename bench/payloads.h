// The requests that the benchmarks of one event parse: 2048 floats in both forms, the same bytes in
// every run.
#pragma once

#include <fmt/format.h>
#include <openssl/evp.h>

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/event.h"

namespace ca4::bench {

inline constexpr size_t kDim = 2048;
inline constexpr uint64_t kSeed = 7;
inline constexpr std::string_view kMembers =
    R"("source_uri":"file:///photos/cat.jpg","gpu_hardware":{"available":true,"device":"cuda:0",)"
    R"("name":"NVIDIA L4","total_memory_gb":22.03,"multi_processor_count":58,)"
    R"("cuda_compute_capability":"8.9"},"extra":{"pipeline":"bench","notes":"a note"}})";

// As Python's json.dumps prints a list of doubles: 17 significant digits, ", " between them.
inline std::string python_json(std::string_view id = "img-cat-1700000000") {
  std::mt19937_64 random(kSeed);
  std::uniform_real_distribution<double> uniform(0.0, 3.0);
  std::string json = fmt::format(R"({{"metadata_id":"{}","embedding":[)", id);
  for (size_t i = 0; i < kDim; ++i) {
    json += fmt::format("{}{:.17g}", i == 0 ? "" : ", ", uniform(random));
  }
  json += "],";
  json += kMembers;
  return json;
}

inline std::string base64_json(std::string_view id = "img-cat-1700000000", uint64_t seed = kSeed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<float> uniform(0.0F, 3.0F);
  std::vector<float> floats(kDim);
  for (float& f : floats) f = uniform(random);
  const auto bytes = static_cast<int>(kDim * sizeof(float));
  std::string text(kDim * sizeof(float) * 4 / 3 + 8, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(floats.data()), bytes);
  text.resize(static_cast<size_t>(length));
  std::string json = fmt::format(R"({{"metadata_id":"{}","embedding_b64":")", id);
  json += text;
  json += "\",";
  json += kMembers;
  return json;
}

// With the room behind its end that the parser asks for.
inline std::string padded(const std::string& json) {
  std::string out;
  out.reserve(json.size() + event::Parser::kPaddingBytes);
  return out.append(json);
}

inline event::Event parsed(const std::string& json) {
  event::Parser parser;
  event::Event event;
  event::Refusal why;
  if (!parser.parse(json, event, why)) throw std::runtime_error(why.reason);
  return event;
}

}  // namespace ca4::bench
