// What the benchmarks of document stores share: documents, and the cost of what is done with them.
#pragma once

#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "store/document_store.h"

namespace ca4::bench {

inline double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

inline double wall_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

inline void must_be_ok(const Status& status) {
  if (status.is_ok()) return;
  std::fprintf(stderr, "%s\n", status.to_string().c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  must_be_ok(result.status());
  return std::move(*result);
}

// Fills documents in place, outside of what is measured. Ids are random, as those made from content
// hashes are: the worst case for an index.
class Source {
 public:
  explicit Source(size_t dim) : dim_(dim) {}

  void fill(std::vector<store::Document>& batch) {
    for (store::Document& document : batch) {
      document.metadata_id = fmt::format("img-{:016x}{:016x}", random_(), random_());
      document.version = ++version_;
      document.source_uri = "file:///data/photos/" + document.metadata_id + ".jpg";
      document.gpu_hardware_json =
          R"({"available":true,"device":"cuda","name":"NVIDIA A100-SXM4-40GB","total_memory_gb":42.4,)"
          R"("multi_processor_count":108,"cuda_compute_capability":"8.0","cuda_version":"12.1"})";
      document.extra_json =
          R"({"pipeline":"bench","notes":"a line of text, as people write them"})";
      document.other_json = "{}";
      document.model_name = "resnet50";
      document.pipeline = "bench";
      document.gpu.available = true;
      document.gpu.device = "cuda";
      document.gpu.name = "NVIDIA A100-SXM4-40GB";
      document.payload_hash = std::string(64, 'f');
      document.ingested_at_us = 1'795'460'297'000'000 + static_cast<int64_t>(version_);
      document.topic = "gpu-metadata";
      document.offset = static_cast<int64_t>(version_);
      document.embedding.resize(dim_);
      for (float& x : document.embedding) x = uniform_(random_);
    }
  }

  std::vector<float> query() {
    std::vector<float> values(dim_);
    for (float& x : values) x = uniform_(random_);
    return values;
  }

 private:
  size_t dim_;
  uint64_t version_ = 0;
  std::mt19937_64 random_{11};
  std::uniform_real_distribution<float> uniform_{-1, 1};
};

struct Cost {
  double wall_s = 0;
  double cpu_s = 0;
  template <class Work>
  void measure(const Work& work) {
    const double wall = wall_seconds();
    const double cpu = cpu_seconds();
    work();
    wall_s += wall_seconds() - wall;
    cpu_s += cpu_seconds() - cpu;
  }
  std::string text(size_t documents) const {
    return fmt::format(R"({{"per_s": {:.0f}, "cpu_us_each": {:.1f}}})",
                       static_cast<double>(documents) / wall_s,
                       cpu_s * 1e6 / static_cast<double>(documents));
  }
};

}  // namespace ca4::bench
