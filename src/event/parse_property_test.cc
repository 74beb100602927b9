// Random payloads against a second, independent JSON library; random damage against crashes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "event/event.h"
#include "event/parse_support.h"
#include "event/value_reader.h"

namespace ca4::event {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kSeed = 20'240'229;

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }

  std::string text() {
    static const std::vector<std::string> kPieces = {"a",  "Z",    "0", " ",  "\"", "\\", "/", "\n",
                                                     "\t", "\x01", "é", "日", "😀", "{",  "]", ","};
    std::string out;
    for (size_t n = below(8); n > 0; --n) out += kPieces[below(kPieces.size())];
    return out;
  }

  Json value(size_t depth) {
    switch (below(depth > 0 ? 8 : 6)) {
      case 0:
        return nullptr;
      case 1:
        return below(2) == 0;
      case 2:
        return static_cast<int64_t>(random_());
      case 3:
        return std::uniform_real_distribution<double>(-1e6, 1e6)(random_);
      case 4:
      case 5:
        return text();
      case 6: {
        Json list = Json::array();
        for (size_t n = below(4); n > 0; --n) list.push_back(value(depth - 1));
        return list;
      }
      default: {
        Json object = Json::object();
        for (size_t n = below(4); n > 0; --n) object[text()] = value(depth - 1);
        return object;
      }
    }
  }

  Json payload() {
    Json json = Json::object();
    json["metadata_id"] = fmt::format("id-{}", below(1'000'000));
    if (below(2) == 0) json["source_uri"] = text();
    if (below(2) == 0) json["gpu_hardware"] = value(3);
    json["extra"] = Json::object();
    for (size_t n = below(4); n > 0; --n) json["extra"]["e" + text()] = value(3);
    json["extra"]["pipeline"] = "p";
    if (below(2) == 0) json["model_name"] = text();
    for (size_t n = below(3); n > 0; --n) json["u" + text()] = value(3);
    std::vector<double> floats(1 + below(50));
    for (double& f : floats) f = std::normal_distribution<double>(0, 10)(random_);
    json["embedding"] = floats;
    return json;
  }

 private:
  std::mt19937_64 random_;
};

TEST(ParseProperty, PayloadComesThroughTheRecordUnchanged) {
  Generator generator(kSeed);
  for (int round = 0; round < 500; ++round) {
    const Json payload = generator.payload();
    const std::string text = payload.dump(round % 2 == 0 ? -1 : 3, ' ', round % 3 == 0);
    Event event = accepted_event(text);
    event.ingested_at_us = round;
    event.version = static_cast<uint64_t>(round) * 3;
    const std::string record = encode(event);
    const auto view = decode(record);
    ASSERT_TRUE(view.is_ok()) << view.status().to_string();
    EXPECT_EQ(view->metadata_id, payload["metadata_id"]);
    EXPECT_EQ(view->ingested_at_us, round);
    EXPECT_EQ(view->version, static_cast<uint64_t>(round) * 3);

    const auto wire = nlohmann::json::parse(to_wire_json(*view));
    nlohmann::json expected = payload;
    expected["embedding_dim"] = payload["embedding"].size();
    if (!expected.contains("source_uri")) expected["source_uri"] = nullptr;
    if (!expected.contains("gpu_hardware")) expected["gpu_hardware"] = nullptr;
    expected["ingested_at"] = round / 1e6;
    std::vector<float> floats;
    for (const double wide : payload["embedding"]) floats.push_back(static_cast<float>(wide));
    EXPECT_EQ(view->embedding(), floats);
    std::vector<float> wire_floats;
    for (const auto& f : wire["embedding"]) wire_floats.push_back(std::stof(f.dump()));
    EXPECT_EQ(wire_floats, floats);
    auto rest = wire;
    rest.erase("embedding");
    expected.erase("embedding");
    EXPECT_EQ(rest, expected) << text;
  }
}

// What consumers get reads back to the very event: the same bytes under the payload's hash.
TEST(ParseProperty, EventComesThroughItsWireJsonUnchanged) {
  Generator generator(kSeed + 2);
  ValueReader reader;
  for (int round = 0; round < 500; ++round) {
    Event event = accepted_event(generator.payload().dump());
    event.ingested_at_us = 1'785'000'000'000'000 + static_cast<int64_t>(generator.below(1U << 30));
    event.version = static_cast<uint64_t>(round);
    const std::string json = to_wire_json(view_of(event));
    const auto back = reader.read(json, {.version = event.version});
    ASSERT_TRUE(back.is_ok()) << back.status().to_string() << "\n" << json;
    EXPECT_EQ(back->metadata_id, event.metadata_id);
    EXPECT_EQ(back->meta_json, event.meta_json);
    EXPECT_EQ(back->ingested_at_us, event.ingested_at_us);
    EXPECT_EQ(payload_hash(*back), payload_hash(view_of(event)));
  }
}

// A second opinion on acceptance: what we take, nlohmann takes too. (Not the other way round: the
// contract refuses more than the grammar does.) Under a sanitizer this is also a small fuzz test.
TEST(ParseProperty, DamagedPayloadsAreNeverTakenForJson) {
  Generator generator(kSeed + 1);
  static constexpr std::string_view kBytes = "{}[]\",:\\0eE+-.x \x01\xC3\xFF";
  ValueReader reader;
  size_t refused = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = generator.payload().dump();
    for (size_t n = 1 + generator.below(3); n > 0; --n) {
      const size_t at = generator.below(text.size());
      switch (generator.below(3)) {
        case 0:
          text[at] = kBytes[generator.below(kBytes.size())];
          break;
        case 1:
          text.erase(at, 1 + generator.below(3));
          break;
        default:
          text.insert(at, 1, kBytes[generator.below(kBytes.size())]);
      }
      if (text.empty()) text = "{";
    }
    const Outcome outcome = parse_text(text);
    const bool stored = reader.read(text, {}).is_ok();
    EXPECT_TRUE(outcome.accepted || !stored) << text;
    if (outcome.accepted) {
      EXPECT_TRUE(nlohmann::json::accept(text)) << text;
      EXPECT_TRUE(nlohmann::json::accept(outcome.event.meta_json)) << outcome.event.meta_json;
    } else {
      ++refused;
      EXPECT_FALSE(outcome.why.reason.empty());
      if (outcome.why.malformed) {
        EXPECT_FALSE(nlohmann::json::accept(text)) << text << "\n" << outcome.why.reason;
      }
    }
  }
  EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace ca4::event
