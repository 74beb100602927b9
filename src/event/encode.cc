// The event record: what the embedded log, the spool and the dead letters hold.
//
//   record   := header id meta padding floats
//   header   := 40 bytes, all integers little-endian:
//     offset size
//          0    1  magic, 0xCA
//          1    1  format version, 1
//          2    2  flags, 0 (none is defined; a reader refuses any other value)
//          4    4  id_bytes, length of the id, 1 to 512
//          8    4  meta_bytes, length of the JSON
//         12    4  dim, number of floats, 1 to 65536
//         16    8  ingested_at_us, acceptance time, signed Unix microseconds
//         24    8  version, which of two events with one id is the later
//         32    8  checksum, XXH3-64 (seed 0) of bytes 0 to 31 and then of everything after the
//                  header
//   id       := id_bytes bytes, UTF-8
//   meta     := meta_bytes bytes, the compact JSON object `meta_json` of event.h, UTF-8
//   padding  := zero bytes until the next multiple of 4, counted from the record's first byte
//   floats   := dim IEEE 754 binary32, little-endian
//
// A record ends with its last float; its length is a function of the header. Example: id "a", meta
// {} and the one float 1.0 make 40 + 1 + 2 + 1 + 4 = 48 bytes.
//
// Good: no number is parsed twice, an embedding of 2048 takes 8 kB (as JSON 42 kB), the floats can
// be handed to BLAS or NumPy where the record lies at a multiple of 4, every flipped bit and every
// cut is found. Bad: not readable with text tools (`ca4 log` prints it); one damaged byte costs the
// record, nothing in it can be repaired; a new field in the header needs a new format version
// (fields of the payload do not: they are in the JSON).
#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/event.h"

namespace ca4::event {
namespace {

static_assert(std::endian::native == std::endian::little, "integers and floats are copied as is");

constexpr uint8_t kMagic = 0xCA;
constexpr uint8_t kFormatVersion = 1;
constexpr size_t kHeaderBytes = 40;
constexpr size_t kChecksumOffset = 32;
constexpr size_t kAlignment = 4;

size_t padding_after(size_t bytes) {
  return (kAlignment - bytes % kAlignment) % kAlignment;
}

template <class T>
void append_integer(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T read_integer(std::string_view record, size_t offset) {
  T value;
  std::memcpy(&value, record.data() + offset, sizeof value);
  return value;
}

uint64_t checksum(std::string_view record) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, record.data(), kChecksumOffset);
  XXH3_64bits_update(&state, record.data() + kHeaderBytes, record.size() - kHeaderBytes);
  return XXH3_64bits_digest(&state);
}

Status corrupt(const std::string& what) {
  return {Code::kCorruption, "event record: " + what};
}

}  // namespace

std::string encode(const Event& event) {
  const size_t text_bytes = kHeaderBytes + event.metadata_id.size() + event.meta_json.size();
  const size_t padding_bytes = padding_after(text_bytes);
  const size_t float_bytes = event.embedding.size() * sizeof(float);
  std::string record;
  record.reserve(text_bytes + padding_bytes + float_bytes);
  append_integer(record, kMagic);
  append_integer(record, kFormatVersion);
  append_integer(record, uint16_t{0});
  append_integer(record, static_cast<uint32_t>(event.metadata_id.size()));
  append_integer(record, static_cast<uint32_t>(event.meta_json.size()));
  append_integer(record, static_cast<uint32_t>(event.embedding.size()));
  append_integer(record, event.ingested_at_us);
  append_integer(record, event.version);
  append_integer(record, uint64_t{0});  // the checksum, once the rest is there
  record += event.metadata_id;
  record += event.meta_json;
  record.append(padding_bytes, '\0');
  record.append(reinterpret_cast<const char*>(event.embedding.data()), float_bytes);
  const uint64_t sum = checksum(record);
  std::memcpy(record.data() + kChecksumOffset, &sum, sizeof sum);
  return record;
}

Result<EventView> decode(std::string_view record) {
  if (record.size() < kHeaderBytes) {
    return corrupt(fmt::format("{} bytes, less than the header's {}", record.size(), kHeaderBytes));
  }
  if (read_integer<uint8_t>(record, 0) != kMagic) return corrupt("does not begin with 0xCA");
  if (const auto format = read_integer<uint8_t>(record, 1); format != kFormatVersion) {
    return corrupt(fmt::format("format version {}, this program reads {}", format, kFormatVersion));
  }
  if (read_integer<uint16_t>(record, 2) != 0) return corrupt("unknown flags");
  const size_t id_bytes = read_integer<uint32_t>(record, 4);
  const size_t meta_bytes = read_integer<uint32_t>(record, 8);
  const size_t dim = read_integer<uint32_t>(record, 12);
  if (id_bytes == 0 || id_bytes > kIdBytesMax) {
    return corrupt(fmt::format("an id of {} bytes", id_bytes));
  }
  if (dim == 0 || dim > kDimMax) return corrupt(fmt::format("an embedding of {} floats", dim));
  const size_t text_bytes = kHeaderBytes + id_bytes + meta_bytes;
  const size_t floats_from = text_bytes + padding_after(text_bytes);
  const size_t float_bytes = dim * sizeof(float);
  if (record.size() != floats_from + float_bytes) {
    return corrupt(fmt::format("{} bytes, but its header promises {}", record.size(),
                               floats_from + float_bytes));
  }
  if (checksum(record) != read_integer<uint64_t>(record, kChecksumOffset)) {
    return corrupt("checksum does not match");
  }
  EventView view;
  view.metadata_id = record.substr(kHeaderBytes, id_bytes);
  view.meta_json = record.substr(kHeaderBytes + id_bytes, meta_bytes);
  view.embedding_bytes = std::as_bytes(std::span(record.substr(floats_from)));
  view.dim = dim;
  view.ingested_at_us = read_integer<int64_t>(record, 16);
  view.version = read_integer<uint64_t>(record, 24);
  return view;
}

EventView view_of(const Event& event) {
  EventView view;
  view.metadata_id = event.metadata_id;
  view.meta_json = event.meta_json;
  view.embedding_bytes = std::as_bytes(std::span(event.embedding));
  view.dim = event.embedding.size();
  view.ingested_at_us = event.ingested_at_us;
  view.version = event.version;
  return view;
}

std::vector<float> EventView::embedding() const {
  std::vector<float> floats(dim);
  std::memcpy(floats.data(), embedding_bytes.data(), embedding_bytes.size());
  return floats;
}

}  // namespace ca4::event
