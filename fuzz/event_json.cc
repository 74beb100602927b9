// The body of POST /metadata. What is taken is JSON to another library too, and comes back the same
// from the record, from the topic's JSON, and when that is posted again. A list of numbers that the
// quick way reads and one that it does not look for are the same event, or the same refusal.
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "event/number_list.h"
#include "event/value_reader.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

// Zeros with their signs too.
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_accepted(std::string_view text, event::Event& event) {
  require(nlohmann::json::accept(text), "what is taken is JSON", text);
  if (event.metadata_id.empty()) event::assign_id(event, "made-here");
  event.ingested_at_us = 1'800'000'000'123'456;
  event.version = 7;
  require(nlohmann::json::accept(event.meta_json), "meta_json is JSON", event.meta_json);
  const std::string record = event::encode(event);
  const Result<event::EventView> view = event::decode(record);
  require(view && same(*view, event::view_of(event)), "the record is the event", event.meta_json);

  const std::string wire = event::to_wire_json(*view);
  static event::ValueReader reader;
  const Result<event::EventView> back = reader.read(wire, {.version = event.version});
  require(back.is_ok(), "the topic's JSON is read", back.status().to_string() + "\n" + wire);
  require(same(*back, *view), "the topic's JSON is the event", wire);
  require(event::payload_hash(*back) == event::payload_hash(*view), "the same hash", wire);

  static event::Parser parser;
  event::Event posted;
  event::Refusal why;
  require(parse(parser, wire, posted, why), "the topic's JSON can be posted", wire);
  require(posted.meta_json == event.meta_json && posted.embedding == event.embedding,
          "posted again it is the same", wire);
}

// Blanks before the object mean nothing, and put the list out of the quick way's sight.
void check_both_ways(std::string_view text, bool good, const event::Event& event,
                     const event::Refusal& why) {
  if (text.starts_with("\xEF\xBB\xBF")) return;  // a byte order mark is one at the front only
  std::string far(event::CutPayload::kSearchBytes, ' ');
  far += text;
  static event::Parser parser;
  event::Event other;
  event::Refusal other_why;
  require(parse(parser, far, other, other_why) == good, "taken both ways", text);
  if (good) {
    require(other.meta_json == event.meta_json, "the same meta_json both ways", text);
    require(same_bits(other.embedding, event.embedding), "the same floats both ways", text);
  } else {
    require(other_why.malformed == why.malformed && other_why.field == why.field &&
                other_why.reason == why.reason,
            "the same refusal both ways", why.reason + "\n" + other_why.reason);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static event::Parser parser;
  const std::string_view text = text_of(data, size);
  event::Event event;
  event::Refusal why;
  const bool good = parse(parser, text, event, why);
  check_both_ways(text, good, event, why);
  if (good) {
    check_accepted(text, event);
    return 0;
  }
  require(!why.reason.empty(), "a refusal has a reason", text);
  // A list or a number is JSON and no event: refused as malformed too.
  const size_t first = text.find_first_not_of(" \t\r\n");
  // The other library takes a zero byte for the end of the text.
  const bool whole = text.find('\0') == std::string_view::npos;
  if (why.malformed && whole && first != std::string_view::npos && text[first] == '{') {
    require(!nlohmann::json::accept(text), "what is malformed is no JSON", why.reason);
  }
  return 0;
}
