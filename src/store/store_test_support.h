// A document for tests.
#pragma once

#include <string>
#include <vector>

#include "store/document_store.h"

namespace ca4::store {

// A complete document; tests change what they are about.
inline Document make_document(const std::string& id, uint64_t version = 1,
                              std::vector<float> embedding = {1, 2, 2}) {
  Document document;
  document.metadata_id = id;
  document.version = version;
  document.source_uri = "file:///photos/" + id + ".jpg";
  document.gpu_hardware_json = R"({"available":true,"name":"NVIDIA A100","total_memory_gb":42.4})";
  document.extra_json = R"({"pipeline":"demo","tags":["a","b"],"notes":"x"})";
  document.other_json = R"({"camera":{"iso":100}})";
  document.model_name = "resnet50";
  document.timestamp = 1795460297.25;
  document.pipeline = "demo";
  document.tags = {"a", "b"};
  document.gpu.available = true;
  document.gpu.device = "cuda";
  document.gpu.name = "NVIDIA A100";
  document.gpu.memory_total_bytes = 42'400'000'000;
  document.embedding = std::move(embedding);
  document.l2_norm = 3;
  document.payload_hash = "00ff";
  document.ingested_at_us = 1'795'460'297'000'123;
  document.processed_at_us = 1'795'460'298'000'456;
  document.topic = "gpu-metadata";
  document.partition = 3;
  document.offset = 1234567890123;
  return document;
}

}  // namespace ca4::store
