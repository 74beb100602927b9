// The event of one image as the wire contract has it. Pure; any thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "producer/embedder.h"
#include "producer/item_id.h"

namespace ca4::producer {

// What all events of a run share.
struct RunFacts {
  std::string pipeline;
  std::vector<std::string> tags;
  std::string notes;
  bool numbers_as_text = false;  // "embedding" as a list of numbers instead of embedding_b64
};

struct ImageFacts {
  int width = 0;  // of the file
  int height = 0;
  std::string_view format;
};

// One JSON object on one line. `gpu_hardware_json` is put in as it is. `embedded_at_us`: Unix
// microseconds, becomes `timestamp`. Bytes of paths and notes that are no UTF-8 become U+FFFD.
std::string payload_json(const RunFacts& run, const ModelInfo& model, const ItemFacts& item,
                         const ImageFacts& image, const std::string& id,
                         std::span<const float> embedding, std::string_view gpu_hardware_json,
                         int64_t embedded_at_us);

}  // namespace ca4::producer
