// Which stored embeddings are nearest: asked of the server's vector index, or found by reading all.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "store/cosine.h"
#include "store/mongo_store.h"

namespace ca4::store {
namespace {

bool has_conditions(const Filter& filter) {
  return !bson_empty(filter_bson(filter).get());
}

// The filter's documents of one dimension.
BsonPtr of_dimension(const Filter& filter, size_t dim) {
  BsonPtr bson = filter_bson(filter);
  BSON_APPEND_INT32(bson.get(), "embedding_dim", static_cast<int32_t>(dim));
  return bson;
}

// Nothing when the vector is of another length or points nowhere.
std::optional<double> cosine_to(std::span<const float> query, double query_norm,
                                const std::vector<float>& embedding) {
  const double norm = l2_norm(embedding);
  if (embedding.size() != query.size() || !has_direction(norm)) return std::nullopt;
  return cosine(as_bytes(embedding), norm, query, query_norm);
}

}  // namespace

Result<std::vector<Neighbour>> MongoStore::similar(std::span<const float> query, size_t k,
                                                   const Filter& filter) {
  // First: the query may be a stored document, which then has none either.
  if (options_.embedding == MongoEmbedding::kNone) {
    return Status(Code::kInvalidArgument,
                  "similar: no embeddings are stored (store.mongo_embedding is none)");
  }
  if (Status bad = check_query(query); !bad.is_ok()) return bad;
  if (k == 0) return std::vector<Neighbour>();
  // An index knows only the fields it was made with; with others it refuses, or finds too few.
  if (options_.vector_search != MongoVectorSearch::kScan && !has_conditions(filter)) {
    return search_by_server(query, k);
  }
  TopKOf<std::string> best(k);
  if (Status status = scan(query, filter, best); !status.is_ok()) return status;
  return fetch(best.take());
}

Result<std::vector<Neighbour>> MongoStore::search_by_server(std::span<const float> query,
                                                            size_t k) {
  Result<Session> session = this->session();
  if (!session) return session.status();
  const BsonPtr pipeline =
      vector_search_bson(options_.vector_search, options_.vector_index, query, k);
  const MongoPtr<mongoc_cursor_t> cursor(mongoc_collection_aggregate(
      session->collection.get(), MONGOC_QUERY_NONE, pipeline.get(), nullptr, nullptr));
  const double query_norm = l2_norm(query);
  std::vector<Neighbour> neighbours;
  Status damaged;
  const Status status = read_all(*cursor, clients_->hosts(), [&](const bson_t& bson) {
    Result<Document> document = from_bson(bson);
    damaged = document.status();
    if (!document) return false;
    const std::optional<double> near = cosine_to(query, query_norm, document->embedding);
    if (!near) return true;
    document->embedding_dim = document->embedding.size();
    document->embedding.clear();
    neighbours.push_back({std::move(*document), *near});
    return true;
  });
  if (!status.is_ok()) return status;
  if (!damaged.is_ok()) return damaged;
  std::stable_sort(neighbours.begin(), neighbours.end(),
                   [](const Neighbour& a, const Neighbour& b) { return a.cosine > b.cosine; });
  return neighbours;
}

Status MongoStore::scan(std::span<const float> query, const Filter& filter,
                        TopKOf<std::string>& best) {
  Result<Session> session = this->session();
  if (!session) return session.status();
  bson_t options;
  bson_t fields;
  bson_init(&options);
  BSON_APPEND_DOCUMENT_BEGIN(&options, "projection", &fields);
  BSON_APPEND_INT32(&fields, "embedding", 1);
  bson_append_document_end(&options, &fields);
  BSON_APPEND_INT32(&options, "batchSize", kDocumentsAnAnswer);
  const MongoPtr<mongoc_cursor_t> cursor(mongoc_collection_find_with_opts(
      session->collection.get(), of_dimension(filter, query.size()).get(), &options, nullptr));
  bson_destroy(&options);
  const double query_norm = l2_norm(query);
  std::vector<float> embedding;
  using Steady = std::chrono::steady_clock;
  const auto over_at = Steady::now() + std::chrono::milliseconds(options_.scan_ms_max);
  bool over = false;
  const Status status = read_all(*cursor, clients_->hosts(), [&](const bson_t& bson) {
    over = options_.scan_ms_max > 0 && Steady::now() > over_at;
    if (over) return false;
    bson_iter_t at;
    embedding.clear();
    if (!bson_iter_init_find(&at, &bson, "embedding") || !read_embedding(at, embedding))
      return true;
    const std::optional<double> near = cosine_to(query, query_norm, embedding);
    uint32_t size = 0;
    if (!near || !bson_iter_init_find(&at, &bson, "_id") || !BSON_ITER_HOLDS_UTF8(&at)) return true;
    const char* const id = bson_iter_utf8(&at, &size);
    best.offer(*near, std::string(id, size));
    return true;
  });
  if (!over) return status;
  return {
      Code::kUnavailable,
      fmt::format("similar: to read the embeddings of all documents takes longer than {} s. `ca4 "
                  "query --similar` takes its time, and filters; a vector index of the server "
                  "(store.mongo_vector_search) is fast",
                  options_.scan_ms_max / 1000)};
}

// The documents of the ids, in their order; those that are gone by now are left out.
Result<std::vector<Neighbour>> MongoStore::fetch(const std::vector<RankedOf<std::string>>& ranked) {
  constexpr size_t kIdsMax = 1000;  // a request of half a megabyte
  std::vector<Neighbour> neighbours;
  for (size_t begin = 0; begin < ranked.size(); begin += kIdsMax) {
    std::vector<std::string> ids;
    std::unordered_map<std::string, Document> found;
    for (size_t i = begin; i < std::min(begin + kIdsMax, ranked.size()); ++i) {
      ids.push_back(ranked[i].row);
    }
    Result<Session> session = this->session();
    if (!session) return session.status();
    const MongoPtr<mongoc_cursor_t> cursor(mongoc_collection_find_with_opts(
        session->collection.get(), ids_bson(ids).get(), without_embedding_bson().get(), nullptr));
    Status damaged;
    const Status status = read_all(*cursor, clients_->hosts(), [&](const bson_t& bson) {
      Result<Document> document = from_bson(bson);
      damaged = document.status();
      if (document) found.emplace(document->metadata_id, std::move(*document));
      return document.is_ok();
    });
    if (!status.is_ok()) return status;
    if (!damaged.is_ok()) return damaged;
    for (size_t i = 0; i < ids.size(); ++i) {
      const auto document = found.find(ids[i]);
      if (document == found.end()) continue;
      neighbours.push_back({std::move(document->second), ranked[begin + i].cosine});
    }
  }
  return neighbours;
}

}  // namespace ca4::store
