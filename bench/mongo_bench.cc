// mongo_bench URI DOCUMENTS DIM: what the MongoDB store costs this side of the wire, as one JSON
// object, for each form of the embedding: a document to BSON and back, upserting in batches of 256,
// redelivery, and reading every embedding for a similarity search. CPU is this process's.
#include "documents.h"
#include "store/mongo_store.h"

namespace {

using ca4::bench::Cost;
using ca4::bench::must;
using ca4::bench::must_be_ok;
using ca4::bench::Source;
using namespace ca4::store;

constexpr size_t kBatch = 256;

std::string bson_text(MongoEmbedding form, const std::vector<Document>& batch) {
  constexpr size_t kRepeats = 20;
  Cost encode;
  Cost decode;
  BsonEncoder encoder(form);
  std::vector<BsonPtr> encoded(batch.size());
  size_t bytes = 0;
  for (size_t repeat = 0; repeat < kRepeats; ++repeat) {
    encode.measure([&] {
      for (size_t i = 0; i < batch.size(); ++i) must_be_ok(encoder.encode(batch[i], *encoded[i]));
    });
    decode.measure([&] {
      for (const BsonPtr& bson : encoded) bytes += must(from_bson(*bson)).embedding.size();
    });
  }
  return fmt::format(R"("encode": {}, "decode": {}, "bson_bytes_each": {})",
                     encode.text(kRepeats * batch.size()), decode.text(kRepeats * batch.size()),
                     encoded[0]->len);
}

std::string store_text(const MongoStoreOptions& options, size_t documents, Source& source) {
  const std::unique_ptr<MongoStore> store = must(MongoStore::open(options));
  std::vector<Document> batch(kBatch);
  Cost insert;
  Cost again;
  for (size_t done = 0; done < documents; done += kBatch) {
    source.fill(batch);
    insert.measure([&] { (void)must(store->upsert(batch)); });
    again.measure([&] { (void)must(store->upsert(batch)); });
  }
  const std::vector<float> query = source.query();
  Cost similar;
  similar.measure([&] { (void)must(store->similar(query, 10, {})); });
  return fmt::format(R"("insert": {}, "redelivered": {}, "scanned": {})", insert.text(documents),
                     again.text(documents), similar.text(documents));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: mongo_bench URI DOCUMENTS DIM\n");
    return 2;
  }
  const size_t documents = (std::stoul(argv[2]) + kBatch - 1) / kBatch * kBatch;
  constexpr std::pair<const char*, MongoEmbedding> kForms[] = {{"array", MongoEmbedding::kArray},
                                                               {"vector", MongoEmbedding::kVector}};
  fmt::print("{{\"documents\": {}", documents);
  for (const auto& [name, form] : kForms) {
    Source source(std::stoul(argv[3]));
    std::vector<Document> batch(kBatch);
    source.fill(batch);
    const MongoStoreOptions options{
        .client = {.uri = argv[1]}, .database = "ca4_bench", .collection = name, .embedding = form};
    fmt::print(",\n \"{}\": {{{}, {}}}", name, bson_text(form, batch),
               store_text(options, documents, source));
  }
  fmt::print("}}\n");
  return 0;
}
