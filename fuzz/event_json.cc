// The body of POST /metadata. What is taken is JSON to another library too, and comes back the same
// from the record, from the topic's JSON, and when that is posted again.
#include <nlohmann/json.hpp>

#include "event/value_reader.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static event::Parser parser;
  const std::string_view text = text_of(data, size);
  event::Event event;
  event::Refusal why;
  if (parse(parser, text, event, why)) {
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
