// The event: one image's embedding with where it came from and what computed it, validated and
// normalised. Everything here is pure: no I/O, no clock, no global state; all functions may be
// called from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::event {

// Longest `metadata_id`, in bytes: it is a key in three systems; the tightest (S3 object keys)
// allows 1024.
inline constexpr size_t kIdBytesMax = 512;
// Largest embedding, in floats: 256 KiB as float32, well above any vision model (ViT-G: 1664,
// ResNet: 2048).
inline constexpr size_t kDimMax = 65'536;
// Deepest nesting of `gpu_hardware`, `extra` and unknown fields.
inline constexpr size_t kDepthMax = 32;

// An accepted event. `meta_json` is the client's payload, normalised, without the embedding, as one
// compact JSON object with these keys first and in this order: metadata_id, source_uri (string or
// null), embedding_dim, gpu_hardware (any JSON; null when not given), extra (object, always with
// "pipeline"); then, where given: source_type, model_name, model_version, timestamp; then unknown
// top-level fields as they came. Same payload, same bytes. `embedding` is finite float32.
struct Event {
  std::string metadata_id;
  std::string meta_json;
  std::vector<float> embedding;
  int64_t ingested_at_us = 0;  // acceptance time, Unix microseconds
  // Given at acceptance, strictly increasing per processor. Of two events with one id the larger
  // version wins in every store, in whatever order they arrive.
  uint64_t version = 0;
};

// Why a payload is refused: `field` is a JSON path of the offender ("embedding[17]", "extra"),
// empty when the payload is not a JSON object at all. `malformed` tells bad syntax (HTTP 400) from
// bad content (HTTP 422).
struct Refusal {
  bool malformed = false;
  std::string field;
  std::string reason;
};

// A reusable parser; keeps its scratch memory between calls. Not thread-safe: one a thread.
class Parser {
 public:
  Parser();
  ~Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  // Parses and validates one payload of the wire contract. `json` must be followed by at least
  // kPaddingBytes readable bytes (what they are can only change why unbalanced brackets are
  // refused). On success fills everything of `out` but ingested_at_us and version;
  // `out.metadata_id` is empty when the client gave none and then meta_json has no metadata_id yet:
  // call `assign_id` next. On refusal returns false, fills `why`, leaves `out` unspecified.
  bool parse(std::string_view json, Event& out, Refusal& why);

  // Parses what stands in Kafka (see `to_wire_json`), written by this program or another: as
  // `parse`, but metadata_id is required, `ingested_at` must be Unix seconds where it is given, and
  // no padding is needed. Fills `out.ingested_at_us` from it, to the microsecond; without it leaves
  // that as it was.
  bool parse_wire(std::string_view json, Event& out, Refusal& why);

  static constexpr size_t kPaddingBytes = 64;

 private:
  struct Impl;
  Impl* impl_;
};

// Gives an event without an id this one, in `metadata_id` and in `meta_json`.
void assign_id(Event& event, std::string_view id);

// A UUID version 7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then random bits from
// `entropy`.
std::string make_uuid_v7(int64_t unix_us, const std::array<uint8_t, 10>& entropy);

// One of now, with random bytes of OpenSSL's.
std::string make_uuid_v7();

// --- The stored form: `docs/formats.md`, "Event record" ---

// The binary record of an event: what the embedded log, the spool and the dead letters hold.
// Little-endian.
std::string encode(const Event& event);

// A read-only view into a record; valid as long as the bytes are.
struct EventView {
  std::string_view metadata_id;
  std::string_view meta_json;
  std::span<const std::byte>
      embedding_bytes;  // dim × 4 bytes, little-endian float32, maybe unaligned
  size_t dim = 0;
  int64_t ingested_at_us = 0;
  uint64_t version = 0;

  // The embedding, copied to aligned floats.
  std::vector<float> embedding() const;
};

// A view into an event in memory; valid as long as the event is and does not change.
EventView view_of(const Event& event);

// Reads a record, checking magic, format version, lengths and checksum. kCorruption says what is
// wrong.
Result<EventView> decode(std::string_view record);

// The JSON value of the wire contract ("Kafka event"): meta_json with `embedding` spliced in and
// `ingested_at` (Unix seconds) added. Floats are the shortest text that reads back to the same
// float32.
std::string to_wire_json(const EventView& event);

// SHA-256 over the payload (meta_json, then the embedding bytes), hex: the same payload, the same
// hash, whenever and however often it was sent.
std::string payload_hash(const EventView& event);

}  // namespace ca4::event
