#include "cli/mongo_ports.h"

#include <spdlog/spdlog.h>

#include "ops/families.h"
#include "ops/metrics.h"
#include "store/mongo_store.h"

namespace ca4::cli {
namespace {

// Longer nobody waits at a page, which could have many of these at work; and a process that is to
// end has 30 s for all that it does.
constexpr int64_t kScanMsMax = 20'000;

store::MongoEmbedding embedding_of(std::string_view word) {
  if (word == "vector") return store::MongoEmbedding::kVector;
  return word == "none" ? store::MongoEmbedding::kNone : store::MongoEmbedding::kArray;
}

store::MongoVectorSearch vector_search_of(std::string_view word) {
  if (word == "atlas") return store::MongoVectorSearch::kAtlas;
  return word == "documentdb" ? store::MongoVectorSearch::kDocumentDb
                              : store::MongoVectorSearch::kScan;
}

// The label is one of the dozen commands that the store sends.
auto observer(prometheus::Registry& registry) {
  return [seconds = ops::histograms(registry, "ca4_mongo_command_seconds"),
          &failures = ops::counters(registry, "ca4_mongo_command_failures_total")](
             std::string_view command, double took_s, bool succeeded) {
    const prometheus::Labels labels = {{"command", std::string(command)}};
    seconds.with(labels).Observe(took_s);
    if (!succeeded) failures.Add(labels).Increment();
  };
}

}  // namespace

store::MongoClientOptions mongo_client_options(const Site& site) {
  const config::Store& from = site.settings.store;
  store::MongoClientOptions options;
  options.uri = from.mongo_uri;
  options.ca_file = from.mongo_ca_file;
  options.connect_timeout_ms = from.mongo_connect_timeout_ms;
  options.server_selection_timeout_ms = from.mongo_selection_timeout_ms;
  options.socket_timeout_ms = from.mongo_socket_timeout_ms;
  options.clients_max = from.mongo_connections_max;
  if (site.metrics != nullptr) options.observe = observer(site.metrics->registry());
  return options;
}

Result<std::unique_ptr<store::DocumentStore>> mongo_store(const Site& site) {
  const config::Store& from = site.settings.store;
  store::MongoStoreOptions options;
  options.client = mongo_client_options(site);
  options.database = from.database;
  options.collection = from.collection;
  options.embedding = embedding_of(from.mongo_embedding);
  options.vector_search = vector_search_of(from.mongo_vector_search);
  options.vector_index = from.mongo_vector_index;
  options.write_timeout_ms = from.mongo_write_timeout_ms;
  if (site.metrics != nullptr) options.scan_ms_max = kScanMsMax;
  Result<std::unique_ptr<store::MongoStore>> opened = store::MongoStore::open(std::move(options));
  if (!opened) return opened.status();
  if (site.metrics != nullptr) {
    spdlog::info("documents are in {}.{} of MongoDB at {}", from.database, from.collection,
                 (*opened)->hosts());
  }
  return std::unique_ptr<store::DocumentStore>(std::move(*opened));
}

}  // namespace ca4::cli
