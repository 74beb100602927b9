// One pass over the payload with simdjson's on-demand interface: numbers go straight into the
// event's vector; everything else is checked and copied, compact, into a buffer a field, from which
// meta_json is put together in its fixed order at the end. Where a list of ordinary numbers can be
// cut out first (number_list.h), the pass is over what is left, and whatever it meets that is not
// as it should be, the whole payload is read as if nothing had been cut.
#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/embedding.h"
#include "event/event.h"
#include "event/json_copy.h"
#include "event/json_text.h"
#include "event/number_list.h"

namespace ca4::event {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(Parser::kPaddingBytes >= simdjson::SIMDJSON_PADDING);

// simdjson keeps about five bytes of scratch for each byte of its largest document. An ordinary
// event has 12 to 45 kB; after a larger one than this the scratch is given back, so that a single
// giant does not cost every thread megabytes for good.
constexpr size_t kScratchDocumentBytesMax = 1U << 20;

enum Field : uint8_t {
  kMetadataId,
  kEmbedding,
  kEmbeddingB64,
  kSourceUri,
  kGpuHardware,
  kExtra,
  kSourceType,
  kModelName,
  kModelVersion,
  kTimestamp,
  kEmbeddingDim,
  kIngestedAt,
  kFieldCount,
};

constexpr std::array<std::string_view, kFieldCount> kFieldNames = {
    "metadata_id", "embedding",  "embedding_b64", "source_uri", "gpu_hardware",  "extra",
    "source_type", "model_name", "model_version", "timestamp",  "embedding_dim", "ingested_at"};

Field field_of(std::string_view key) {
  for (size_t i = 0; i < kFieldCount; ++i) {
    if (kFieldNames[i] == key) return static_cast<Field>(i);
  }
  return kFieldCount;
}

// Where null is as if the field were not given: Python's None in what was never set. The copy of
// gpu_hardware is as it came, and an embedding has to be there.
bool may_be_null(Field field) {
  return field == kMetadataId || field == kSourceUri || field == kExtra ||
         (field >= kSourceType && field <= kEmbeddingDim);
}

// C0, DEL and, as UTF-8, C1: an id stands in log lines, file names and terminals.
bool has_control_character(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F) return true;
    if (byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      return true;
    }
  }
  return false;
}

bool read_string(ondemand::value& value, std::string_view& out, std::string_view expected,
                 Refusal& why) {
  if (!token_of(value).starts_with('"')) {
    return refuse_content(why, fmt::format("must be {}", expected));
  }
  if (auto error = value.get_string().get(out)) return refuse_syntax(why, error);
  return true;
}

}  // namespace

struct Parser::Impl {
  ondemand::parser json;
  // For the largest embedding; memory that no embedding has needed yet is not touched.
  std::unique_ptr<float[]> floats{new float[kDimMax]};
  CutPayload cut;
  bool cut_met = false;  // its place was where it has to be

  // What one payload gave; cleared, not freed, between payloads.
  std::array<bool, kFieldCount> seen{};
  std::string source_uri, gpu_hardware, gpu_of_extra, extra, unknown;
  std::array<std::string, 4> model_texts;  // source_type, model_name, model_version, timestamp
  std::vector<std::string_view> unknown_keys;
  std::optional<int64_t> declared_dim;
  std::string ingested_at;  // as it came; empty when not given
  std::string padded;       // a copy of a text that came without padding

  bool parse(std::string_view payload, Event& out, Refusal& why);
  bool parse_wire(std::string_view value, Event& out, Refusal& why);
  bool parse_cut(std::string_view payload, Event& out, Refusal& why);
  bool parse_whole(std::string_view payload, Event& out, Refusal& why);
  void clear(Event& out);
  bool read_member(std::string_view key, ondemand::value value, Event& out, Refusal& why);
  bool read_known(Field field, ondemand::value value, Event& out, Refusal& why);
  bool read_list(ondemand::value value, std::vector<float>& out, Refusal& why);
  bool read_id(ondemand::value value, std::string& id, Refusal& why);
  bool read_source_uri(ondemand::value value, Refusal& why);
  bool read_extra(ondemand::value value, Refusal& why);
  bool read_timestamp(ondemand::value value, Refusal& why);
  bool read_dim(ondemand::value value, Refusal& why);
  bool read_acceptance(Event& out, Refusal& why) const;
  bool check_members(const Event& event, Refusal& why);
  void write_meta(Event& event) const;
};

void Parser::Impl::clear(Event& out) {
  seen.fill(false);
  source_uri = "null";
  gpu_hardware = "null";
  gpu_of_extra = "null";
  extra = R"({"pipeline":"unknown"})";
  unknown.clear();
  unknown_keys.clear();
  declared_dim.reset();
  ingested_at.clear();
  for (auto& text : model_texts) text.clear();
  out.metadata_id.clear();
}

bool Parser::Impl::parse(std::string_view payload, Event& out, Refusal& why) {
  return parse_cut(payload, out, why) || parse_whole(payload, out, why);
}

// False where the payload has to be read whole; what is in `why` says nothing then. No padding is
// needed.
bool Parser::Impl::parse_cut(std::string_view payload, Event& out, Refusal& why) {
  cut_met = false;
  if (!cut.cut(payload, std::span<float, kDimMax>(floats.get(), kDimMax))) return false;
  const bool good = parse_whole(cut.rest(), out, why) && cut_met;
  cut.forget();
  return good;
}

bool Parser::Impl::parse_whole(std::string_view payload, Event& out, Refusal& why) {
  why = Refusal{.malformed = true, .field = "", .reason = ""};
  clear(out);
  if (payload.starts_with("\xEF\xBB\xBF")) {
    why.reason = "begins with a byte order mark: send UTF-8 without one";
    return false;
  }
  ondemand::document document;
  auto error =
      json.iterate(payload.data(), payload.size(), payload.size() + kPaddingBytes).get(document);
  if (error == simdjson::EMPTY) {
    why.reason = "empty: expected a JSON object";
    return false;
  }
  if (error) return refuse_syntax(why, error);
  ondemand::object object;
  error = document.get_object().get(object);
  if (error == simdjson::INCORRECT_TYPE) {
    why.reason = "expected a JSON object";
    return false;
  }
  if (error) return refuse_syntax(why, error);
  for (auto member : object) {
    ondemand::field field;
    std::string_view key;
    if ((error = std::move(member).get(field))) return refuse_syntax(why, error);
    if ((error = field.unescaped_key().get(key))) return refuse_syntax(why, error);
    if (!read_member(key, field.value(), out, why)) return false;
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    why.reason = "invalid JSON: more text after the object";
    return false;
  }
  if (!check_members(out, why)) return false;
  write_meta(out);
  return true;
}

bool Parser::Impl::read_member(std::string_view key, ondemand::value value, Event& out,
                               Refusal& why) {
  const Field field = field_of(key);
  bool good = false;
  if (field == kFieldCount) {
    unknown += ',';
    append_json_string(unknown, key);
    unknown += ':';
    unknown_keys.push_back(key);
    good = copy_value(value, 1, unknown, why);
  } else if (std::exchange(seen[field], true)) {
    refuse_content(why, "given more than once");
  } else {
    good = read_known(field, value, out, why);
  }
  if (!good) prefix_field(why, key);
  return good;
}

bool Parser::Impl::read_known(Field field, ondemand::value value, Event& out, Refusal& why) {
  if (may_be_null(field) && token_of(value) == "null") return true;
  switch (field) {
    case kMetadataId:
      return read_id(value, out.metadata_id, why);
    case kEmbedding:
    case kEmbeddingB64:
      if (seen[kEmbedding] && seen[kEmbeddingB64]) {
        return refuse_content(why, "give embedding or embedding_b64, not both");
      }
      if (field == kEmbeddingB64) return read_float_base64(value, out.embedding, why);
      return read_list(value, out.embedding, why);
    case kSourceUri:
      return read_source_uri(value, why);
    case kGpuHardware:
      gpu_hardware.clear();
      return copy_value(value, 1, gpu_hardware, why);
    case kExtra:
      return read_extra(value, why);
    case kSourceType:
    case kModelName:
    case kModelVersion: {
      std::string_view text;
      if (!read_string(value, text, "a string", why)) return false;
      append_json_string(model_texts[static_cast<size_t>(field - kSourceType)], text);
      return true;
    }
    case kTimestamp:
      return read_timestamp(value, why);
    case kEmbeddingDim:
      return read_dim(value, why);
    case kIngestedAt:
      // Ours to say: an event that a consumer read from the log and sends again carries the old
      // one. Checked like any other value and left out; only `parse_wire` reads it.
      return copy_value(value, 1, ingested_at, why);
    case kFieldCount:
      break;
  }
  return refuse_content(why, "unknown field");
}

bool Parser::Impl::read_list(ondemand::value value, std::vector<float>& out, Refusal& why) {
  cut_met = cut.is_place(token_of(value).data());
  if (cut_met) {
    out.assign(floats.get(), floats.get() + cut.count());
    return true;
  }
  return read_float_list(value, std::span<float, kDimMax>(floats.get(), kDimMax), out, why);
}

bool Parser::Impl::read_id(ondemand::value value, std::string& id, Refusal& why) {
  std::string_view text;
  if (!read_string(value, text, "a string", why)) return false;
  if (text.empty()) return refuse_content(why, "must not be empty");
  if (text.size() > kIdBytesMax) {
    return refuse_content(why, fmt::format("has {} bytes, more than {}", text.size(), kIdBytesMax));
  }
  if (has_control_character(text)) return refuse_content(why, "contains a control character");
  id = text;
  return true;
}

bool Parser::Impl::read_source_uri(ondemand::value value, Refusal& why) {
  std::string_view text;
  if (!read_string(value, text, "a string or null", why)) return false;
  source_uri.clear();
  append_json_string(source_uri, text);
  return true;
}

bool Parser::Impl::read_extra(ondemand::value value, Refusal& why) {
  ondemand::object object;
  if (!token_of(value).starts_with('{')) return refuse_content(why, "must be an object or null");
  if (auto error = value.get_object().get(object)) return refuse_syntax(why, error);
  std::vector<std::string_view> keys;
  keys.reserve(kKeysUsual);
  bool has_pipeline = false;
  extra = "{";
  for (auto member : object) {
    ondemand::field field;
    std::string_view key;
    if (auto error = std::move(member).get(field)) return refuse_syntax(why, error);
    if (auto error = field.unescaped_key().get(key)) return refuse_syntax(why, error);
    ondemand::value inner = field.value();
    keys.push_back(key);
    if (key == "pipeline" && token_of(inner) == "null") continue;  // as if it were not given
    if (extra.size() > 1) extra += ',';
    append_json_string(extra, key);
    extra += ':';
    const size_t value_from = extra.size();
    if (!copy_value(inner, 2, extra, why)) {
      prefix_field(why, key);
      return false;
    }
    if (key == "pipeline") has_pipeline = true;
    if (key == "gpu_hardware") gpu_of_extra.assign(extra, value_from);
  }
  if (has_duplicate(keys, why)) return false;
  if (!has_pipeline)
    extra += extra.size() > 1 ? R"(,"pipeline":"unknown")" : R"("pipeline":"unknown")";
  extra += '}';
  return true;
}

bool Parser::Impl::read_timestamp(ondemand::value value, Refusal& why) {
  const std::string_view token = token_of(value);
  if (!is_json_number(token) || !is_finite_number(token)) {
    return refuse_content(why, "must be a finite number of Unix seconds");
  }
  model_texts[kTimestamp - kSourceType] = token;
  return true;
}

bool Parser::Impl::read_dim(ondemand::value value, Refusal& why) {
  const std::string_view token = token_of(value);
  int64_t dim = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), dim);
  if (!is_json_number(token) || error != std::errc() || end != token.data() + token.size()) {
    return refuse_content(why, "must be an integer");
  }
  declared_dim = dim;
  return true;
}

bool Parser::Impl::parse_wire(std::string_view value, Event& out, Refusal& why) {
  if (!parse_cut(value, out, why)) {
    padded.assign(value);
    padded.append(kPaddingBytes, '\0');
    if (!parse_whole({padded.data(), value.size()}, out, why)) return false;
  }
  if (out.metadata_id.empty()) {
    why.field = "metadata_id";
    return refuse_content(why, "is required");
  }
  if (read_acceptance(out, why)) return true;
  why.field = kFieldNames[kIngestedAt];
  return false;
}

// `ingested_at` of an event that was accepted before.
bool Parser::Impl::read_acceptance(Event& out, Refusal& why) const {
  if (ingested_at.empty()) return true;
  // The year 10000, which no date has four digits for. What is later was given in milliseconds, and
  // as a version it would be newer than all that ever comes.
  constexpr double kSecondsMax = 253'402'300'800;
  double seconds = kSecondsMax;
  if (is_json_number(ingested_at)) {
    std::from_chars(ingested_at.data(), ingested_at.data() + ingested_at.size(), seconds);
  }
  if (std::abs(seconds) >= kSecondsMax) {
    return refuse_content(why, "must be Unix seconds, of a year before 10000");
  }
  out.ingested_at_us = std::llround(seconds * 1e6);
  return true;
}

// What only the whole payload can tell: the fields come in any order.
bool Parser::Impl::check_members(const Event& event, Refusal& why) {
  if (has_duplicate(unknown_keys, why)) return false;
  if (!seen[kEmbedding] && !seen[kEmbeddingB64]) {
    why.field = "embedding";
    return refuse_content(why, "is required");
  }
  if (declared_dim && std::cmp_not_equal(*declared_dim, event.embedding.size())) {
    why.field = "embedding_dim";
    return refuse_content(
        why, fmt::format("is {}, but the embedding has {}", *declared_dim, event.embedding.size()));
  }
  return true;
}

void Parser::Impl::write_meta(Event& event) const {
  std::string& meta = event.meta_json;
  meta = "{";
  if (!event.metadata_id.empty()) {
    meta += R"("metadata_id":)";
    append_json_string(meta, event.metadata_id);
    meta += ',';
  }
  meta += R"("source_uri":)";
  meta += source_uri;
  meta += R"(,"embedding_dim":)";
  meta += std::to_string(event.embedding.size());
  meta += R"(,"gpu_hardware":)";
  meta += gpu_hardware == "null" ? gpu_of_extra : gpu_hardware;
  meta += R"(,"extra":)";
  meta += extra;
  for (size_t i = 0; i < model_texts.size(); ++i) {
    if (model_texts[i].empty()) continue;
    meta += ",\"";
    meta += kFieldNames[kSourceType + i];
    meta += "\":";
    meta += model_texts[i];
  }
  meta += unknown;
  meta += '}';
}

Parser::Parser() : impl_(new Impl) {}
Parser::~Parser() {
  delete impl_;
}

bool Parser::parse(std::string_view json, Event& out, Refusal& why) {
  const bool good = impl_->parse(json, out, why);
  if (json.size() > kScratchDocumentBytesMax) impl_->json = ondemand::parser();
  return good;
}

bool Parser::parse_wire(std::string_view json, Event& out, Refusal& why) {
  const bool good = impl_->parse_wire(json, out, why);
  if (json.size() > kScratchDocumentBytesMax) {
    impl_->json = ondemand::parser();
    impl_->padded = std::string();
  }
  return good;
}

}  // namespace ca4::event
