// Microseconds of CPU an event costs between the socket and the log: reading the payload of 2048
// floats in both forms, and writing its record. Run: build/release/bench/event_bench
#include <benchmark/benchmark.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "event/event.h"

namespace {

using namespace ca4::event;

constexpr size_t kDim = 2048;
constexpr uint64_t kSeed = 7;
constexpr std::string_view kMembers =
    R"("source_uri":"file:///photos/cat.jpg","gpu_hardware":{"available":true,"device":"cuda:0",)"
    R"("name":"NVIDIA L4","total_memory_gb":22.03,"multi_processor_count":58,)"
    R"("cuda_compute_capability":"8.9"},"extra":{"pipeline":"bench","notes":"a note"}})";

// As Python's json.dumps prints a list of doubles: 17 significant digits, ", " between them.
std::string python_json() {
  std::mt19937_64 random(kSeed);
  std::uniform_real_distribution<double> uniform(0.0, 3.0);
  std::string json = R"({"metadata_id":"img-cat-1700000000","embedding":[)";
  for (size_t i = 0; i < kDim; ++i) {
    json += fmt::format("{}{:.17g}", i == 0 ? "" : ", ", uniform(random));
  }
  json += "],";
  json += kMembers;
  return json;
}

std::string base64_json() {
  std::mt19937_64 random(kSeed);
  std::uniform_real_distribution<float> uniform(0.0F, 3.0F);
  std::vector<float> floats(kDim);
  for (float& f : floats) f = uniform(random);
  const auto bytes = static_cast<int>(kDim * sizeof(float));
  std::string text(kDim * sizeof(float) * 4 / 3 + 8, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                     reinterpret_cast<const unsigned char*>(floats.data()), bytes);
  text.resize(static_cast<size_t>(length));
  std::string json = R"({"metadata_id":"img-cat-1700000000","embedding_b64":")";
  json += text;
  json += "\",";
  json += kMembers;
  return json;
}

std::string padded(std::string json) {
  json.reserve(json.size() + Parser::kPaddingBytes);
  return json;
}

Event parsed(const std::string& json) {
  Parser parser;
  Event event;
  Refusal why;
  if (!parser.parse(json, event, why)) throw std::runtime_error(why.reason);
  return event;
}

void parse(benchmark::State& state, std::string json) {
  json = padded(std::move(json));
  Parser parser;
  Event event;
  Refusal why;
  for (auto _ : state) {
    if (!parser.parse(json, event, why)) state.SkipWithError(why.reason.c_str());
    benchmark::DoNotOptimize(event.embedding.data());
  }
  state.counters["payload_bytes"] = static_cast<double>(json.size());
}

void parse_and_encode(benchmark::State& state, std::string json) {
  json = padded(std::move(json));
  Parser parser;
  Event event;
  Refusal why;
  for (auto _ : state) {
    if (!parser.parse(json, event, why)) state.SkipWithError(why.reason.c_str());
    benchmark::DoNotOptimize(encode(event));
  }
}

void encode_record(benchmark::State& state) {
  const Event event = parsed(padded(base64_json()));
  for (auto _ : state) benchmark::DoNotOptimize(encode(event));
}

void decode_record(benchmark::State& state) {
  const std::string record = encode(parsed(padded(base64_json())));
  for (auto _ : state) benchmark::DoNotOptimize(decode(record).is_ok());
}

void wire_json(benchmark::State& state) {
  const std::string record = encode(parsed(padded(base64_json())));
  const auto view = decode(record);
  for (auto _ : state) benchmark::DoNotOptimize(to_wire_json(*view));
}

}  // namespace

BENCHMARK_CAPTURE(parse, python_list, python_json())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(parse, base64, base64_json())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(parse_and_encode, python_list, python_json())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(parse_and_encode, base64, base64_json())->Unit(benchmark::kMicrosecond);
BENCHMARK(encode_record)->Unit(benchmark::kMicrosecond);
BENCHMARK(decode_record)->Unit(benchmark::kMicrosecond);
BENCHMARK(wire_json)->Unit(benchmark::kMicrosecond);
