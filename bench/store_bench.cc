// store_bench DIR DOCUMENTS DIM: what the embedded store costs, as one JSON object: filling it in
// batches of 256, redelivery of one tenth, reading everything back as JSON, exact similarity.
#include <algorithm>
#include <filesystem>

#include "documents.h"
#include "store/embedded_store.h"

namespace {

using ca4::bench::Cost;
using ca4::bench::must;
using ca4::bench::Source;
using ca4::store::Document;

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
