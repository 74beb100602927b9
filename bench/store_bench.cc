// store_bench DIR DOCUMENTS DIM: what the embedded store costs, as one JSON object: filling it in
// batches of 256, redelivery of one tenth, reading everything back as JSON, exact similarity.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "store/embedded_store.h"

namespace {

using ca4::store::Document;

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

double wall_seconds() {
  using namespace std::chrono;
  return duration<double>(steady_clock::now().time_since_epoch()).count();
}

template <class T>
T must(ca4::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "store_bench: %s\n", result.status().to_string().c_str());
    std::exit(1);
  }
  return std::move(*result);
}

// Fills documents in place, outside of what is measured. Ids are random, as those made from content
// hashes are: the worst case for an index.
class Source {
 public:
  explicit Source(size_t dim) : dim_(dim) {}

  void fill(std::vector<Document>& batch) {
    for (Document& document : batch) {
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

std::string similar_text(ca4::store::EmbeddedStore& store, Source& source) {
  std::vector<double> times_ms;
  Cost cpu;
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> query = source.query();
    Cost cost;
    const auto search = [&] { (void)must(store.similar(query, 10, {})); };
    cost.measure(search);
    times_ms.push_back(cost.wall_s * 1e3);
    if (i > 0) cpu.cpu_s += cost.cpu_s;
  }
  std::sort(times_ms.begin() + 1, times_ms.end());
  return fmt::format(
      R"({{"first_ms": {:.1f}, "warm_median_ms": {:.1f}, "warm_max_ms": {:.1f}, "warm_cpu_ms": {:.1f}}})",
      times_ms[0], times_ms[5], times_ms.back(), cpu.cpu_s * 1e3 / 9);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: store_bench DIR DOCUMENTS DIM\n");
    return 2;
  }
  constexpr size_t kBatch = 256;
  const size_t documents = (std::stoul(argv[2]) + kBatch - 1) / kBatch * kBatch;
  const std::string dir = std::string(argv[1]) + "/store_bench";
  std::filesystem::remove_all(dir);
  auto store = must(ca4::store::EmbeddedStore::open({.dir = dir}));
  Source source(std::stoul(argv[3]));
  std::vector<Document> batch(kBatch);
  Cost insert;
  Cost again;
  size_t repeated = 0;
  for (size_t done = 0; done < documents; done += kBatch) {
    source.fill(batch);
    insert.measure([&] { (void)must(store->upsert(batch)); });
    if (done / kBatch % 10 != 0) continue;
    again.measure([&] { (void)must(store->upsert(batch)); });
    repeated += kBatch;
  }
  Cost read;
  size_t bytes = 0;
  read.measure([&] {
    (void)store->find({}, {.limit = 0}, [&](const Document& document) {
      bytes += to_json(document, false).size();
      return true;
    });
  });
  const std::string similar = similar_text(*store, source);
  const std::string cold =
      similar_text(*must(ca4::store::EmbeddedStore::open({.dir = dir, .read_only = true})), source);
  fmt::print(
      "{{\"documents\": {}, \"insert\": {}, \"redelivered\": {}, \"read_as_json\": {}, "
      "\"json_bytes_each\": {},\n"
      " \"similar\": {},\n \"similar_in_a_new_process\": {}}}\n",
      documents, insert.text(documents), again.text(repeated), read.text(documents),
      bytes / documents, similar, cold);
  store.reset();
  std::filesystem::remove_all(dir);
  return 0;
}
