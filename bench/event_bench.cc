// Microseconds of CPU an event costs between the socket and the log: reading the payload of 2048
// floats in both forms, and writing its record. Run: build/release/bench/event_bench
#include <benchmark/benchmark.h>

#include <string>
#include <utility>
#include <vector>

#include "payloads.h"

namespace {

using namespace ca4::bench;
using namespace ca4::event;

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
  // Other numbers each time: of a few the processor learns where they end.
  std::vector<std::string> records;
  for (uint64_t seed = 0; seed < 256; ++seed) {
    records.push_back(encode(parsed(padded(base64_json("img-cat-1700000000", seed)))));
  }
  size_t next = 0;
  for (auto _ : state) benchmark::DoNotOptimize(to_wire_json(*decode(records[next++ % 256])));
}

}  // namespace

BENCHMARK_CAPTURE(parse, python_list, python_json())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(parse, base64, base64_json())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(parse_and_encode, python_list, python_json())->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(parse_and_encode, base64, base64_json())->Unit(benchmark::kMicrosecond);
BENCHMARK(encode_record)->Unit(benchmark::kMicrosecond);
BENCHMARK(decode_record)->Unit(benchmark::kMicrosecond);
BENCHMARK(wire_json)->Unit(benchmark::kMicrosecond);
