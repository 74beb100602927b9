// A record of the topic, from whomever: its value in either form, beside headers of a version. What
// is an event stays one, whichever form it is written in next.
#include "event/value_reader.h"
#include "log/headers_codec.h"
#include "log/wire_values.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

void check_event(const event::EventView& event) {
  event::Event copy;
  copy.metadata_id = event.metadata_id;
  copy.meta_json = event.meta_json;
  copy.embedding = event.embedding();
  copy.ingested_at_us = event.ingested_at_us;
  copy.version = event.version;
  const std::string record = event::encode(copy);
  static event::ValueReader reader;
  const Result<event::EventView> binary = reader.read(record, {});
  require(binary && same(*binary, event::view_of(copy)), "the record is the event", copy.meta_json);
}

}  // namespace

// The first byte says how many of the next are the record's headers, as the embedded log keeps
// them.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static event::ValueReader reader;
  if (size == 0) return 0;
  const std::string_view rest = text_of(data + 1, size - 1);
  const size_t header_bytes = std::min<size_t>(data[0], rest.size());
  log::Headers headers;
  if (Result<log::Headers> read = log::decode_headers(rest.substr(0, header_bytes))) {
    require(log::encode_headers(*read) == rest.substr(0, header_bytes), "headers come back");
    headers = std::move(*read);
  }
  const event::Origin origin = log::origin_of(headers, 1'800'000'000'000'000);
  const std::string_view value = rest.substr(header_bytes);
  const Result<event::EventView> event = reader.read(value, origin);
  if (!event) {
    require(event.status().code() == Code::kCorruption, "no event is corruption");
    return 0;
  }
  check_event(*event);
  // The meta of a binary record is whatever its writer put there; in JSON it was checked.
  const bool json = !value.starts_with('\xCA');
  if (!json || std::abs(event->ingested_at_us) > kExactUsMax) return 0;
  const std::string wire = event::to_wire_json(*event);
  const event::Event kept{std::string(event->metadata_id), std::string(event->meta_json),
                          event->embedding(), event->ingested_at_us, event->version};
  const Result<event::EventView> back = reader.read(wire, {.version = kept.version});
  require(back && same(*back, event::view_of(kept)), "the topic's JSON is the event", wire);
  return 0;
}
