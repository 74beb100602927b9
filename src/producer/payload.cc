#include "producer/payload.h"

#include <fmt/format.h>

#include <bit>
#include <nlohmann/json.hpp>

#include "base/digest.h"

namespace ca4::producer {
namespace {

using Json = nlohmann::ordered_json;

// The contract's embedding_b64 is little-endian, as every machine that this runs on.
static_assert(std::endian::native == std::endian::little);

// Each number as the shortest text that reads back to the same float32.
std::string number_list(std::span<const float> values) {
  std::string out = "[";
  for (const float value : values) {
    fmt::format_to(std::back_inserter(out), "{}{}", out.size() > 1 ? "," : "", value);
  }
  return out + "]";
}

Json extra(const RunFacts& run, const ModelInfo& model, const ItemFacts& item,
           const ImageFacts& image) {
  Json out = {{"pipeline", run.pipeline}};
  if (!run.tags.empty()) out["tags"] = run.tags;
  if (!run.notes.empty()) out["notes"] = run.notes;
  out["image"] = {{"width", image.width},
                  {"height", image.height},
                  {"format", image.format},
                  {"sha256", item.content_sha256}};
  out["model"] = {{"sha256", model.sha256}, {"output", model.output}};
  // What the embedding was computed on, which need not be the GPU that gpu_hardware tells of.
  out["execution"] = {
      {"device", model.device}, {"runtime", model.runtime}, {"threads", model.threads}};
  return out;
}

}  // namespace

std::string payload_json(const RunFacts& run, const ModelInfo& model, const ItemFacts& item,
                         const ImageFacts& image, const std::string& id,
                         std::span<const float> embedding, std::string_view gpu_hardware_json,
                         int64_t embedded_at_us) {
  Json event;
  event["metadata_id"] = id;
  event["source_uri"] = item.uri;
  event["source_type"] = "image";
  event["model_name"] = model.name;
  event["model_version"] = model.sha256.substr(0, 12);
  event["timestamp"] = static_cast<double>(embedded_at_us) / 1e6;
  event["embedding_dim"] = embedding.size();
  event["extra"] = extra(run, model, item, image);
  std::string text = event.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Past the JSON library: what is text already, and numbers, which are written faster so.
  text.pop_back();
  text += ",\"gpu_hardware\":";
  text += gpu_hardware_json;
  text += run.numbers_as_text ? ",\"embedding\":" + number_list(embedding) + "}"
                              : ",\"embedding_b64\":\"" + base64(std::as_bytes(embedding)) + "\"}";
  return text;
}

}  // namespace ca4::producer
