#include "verify/marker.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "base/clock.h"

namespace ca4::verify {
namespace {

// Bounds what one sweep removes: the rest goes with the next.
constexpr size_t kSweepDocumentsMax = 1'000;

const std::vector<float>& marker_embedding() {
  static const std::vector<float> embedding(kMarkerDim, 0.5F);
  return embedding;
}

}  // namespace

std::string marker_id() {
  return "ca4-verify-" + event::make_uuid_v7();
}

std::string marker_json(const std::string& id) {
  std::string numbers;
  for (const float number : marker_embedding()) {
    numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", number);
  }
  return fmt::format(
      R"({{"metadata_id":"{}","embedding":[{}],"source_uri":"ca4-verify:","extra":{{"pipeline":"{}","notes":"sent by ca4 verify, and removed by it"}}}})",
      id, numbers, kMarkerPipeline);
}

event::Event marker_event(const std::string& id, int64_t now_us) {
  std::string json = marker_json(id);
  const size_t bytes = json.size();
  json.append(event::Parser::kPaddingBytes, ' ');
  event::Event made;
  event::Refusal why;
  event::Parser parser;
  // Of text that is ours: it can't be refused.
  parser.parse(std::string_view(json).substr(0, bytes), made, why);
  made.ingested_at_us = now_us;
  made.version = static_cast<uint64_t>(now_us);
  return made;
}

store::Document marker_document(const std::string& id, int64_t now_us) {
  store::Document document;
  document.metadata_id = id;
  document.version = static_cast<uint64_t>(now_us);
  document.source_uri = "ca4-verify:";
  document.gpu_hardware_json = "null";
  document.extra_json = fmt::format(R"({{"pipeline":"{}"}})", kMarkerPipeline);
  document.other_json = "{}";
  document.pipeline = kMarkerPipeline;
  document.embedding = marker_embedding();
  document.embedding_dim = kMarkerDim;
  document.l2_norm = std::sqrt(0.25 * static_cast<double>(kMarkerDim));
  document.ingested_at_us = now_us;
  document.processed_at_us = now_us;
  document.topic = kMarkerPipeline;
  return document;
}

Result<size_t> sweep(store::DocumentStore& store, int64_t now_us) {
  store::Filter filter;
  filter.pipeline = kMarkerPipeline;
  filter.until_us = now_us - kMarkerAgeUs;
  std::vector<std::string> ids;
  const Status found = store.find(filter, {.limit = kSweepDocumentsMax}, [&](const auto& document) {
    ids.push_back(document.metadata_id);
    return true;
  });
  if (!found.is_ok()) return found;
  for (const std::string& id : ids) {
    if (Status removed = store.remove(id); !removed.is_ok()) return removed;
  }
  return ids.size();
}

}  // namespace ca4::verify
