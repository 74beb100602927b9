#include "store/memory_store.h"

#include <algorithm>

#include "store/cosine.h"
#include "store/ranking.h"

namespace ca4::store {
namespace {

Document without_embedding(const Document& document) {
  Document copy = document;
  copy.embedding_dim = copy.embedding.size();
  copy.embedding.clear();
  return copy;
}

}  // namespace

Result<std::vector<UpsertResult>> MemoryStore::upsert(std::span<const Document> batch) {
  std::vector<UpsertResult> results;
  results.reserve(batch.size());
  const std::lock_guard lock(mutex_);
  for (const Document& document : batch) results.push_back(upsert_one(document));
  return results;
}

UpsertResult MemoryStore::upsert_one(const Document& document) {
  std::string reason = unstorable_reason(document, to_json(document, false));
  if (!reason.empty()) return {Outcome::kDeadLetter, std::move(reason)};
  Stored& stored = documents_[document.metadata_id];
  Outcome outcome = Outcome::kInserted;
  if (stored != nullptr) {
    if (document.version == stored->version) return {Outcome::kUnchanged, {}};
    if (document.version < stored->version) return {Outcome::kStale, {}};
    outcome = Outcome::kUpdated;
  }
  auto copy = std::make_shared<Document>(document);
  copy->embedding_dim = copy->embedding.size();
  stored = std::move(copy);
  return {outcome, {}};
}

std::vector<MemoryStore::Stored> MemoryStore::matching(const Filter& filter) const {
  std::vector<Stored> found;
  const std::lock_guard lock(mutex_);
  for (const auto& [id, document] : documents_) {
    if (matches(*document, filter)) found.push_back(document);
  }
  return found;
}

Status MemoryStore::find(const Filter& filter, const FindOptions& options, const Visit& visit) {
  std::vector<Stored> found = matching(filter);
  std::stable_sort(found.begin(), found.end(), [&](const Stored& a, const Stored& b) {
    return options.newest_first ? a->ingested_at_us > b->ingested_at_us
                                : a->ingested_at_us < b->ingested_at_us;
  });
  if (options.limit > 0 && found.size() > options.limit) found.resize(options.limit);
  for (const Stored& document : found) {
    if (!visit(options.with_embedding ? *document : without_embedding(*document))) break;
  }
  return Status::ok();
}

Result<uint64_t> MemoryStore::count(const Filter& filter) {
  return matching(filter).size();
}

Result<std::vector<Neighbour>> MemoryStore::similar(std::span<const float> query, size_t k,
                                                    const Filter& filter) {
  if (Status bad = check_query(query); !bad.is_ok()) return bad;
  const double query_norm = l2_norm(query);
  const std::vector<Stored> found = matching(filter);
  TopK best(k);
  for (size_t i = 0; i < found.size(); ++i) {
    const std::vector<float>& embedding = found[i]->embedding;
    const double norm = l2_norm(embedding);
    if (embedding.size() != query.size() || !has_direction(norm)) continue;
    best.offer(cosine(as_bytes(embedding), norm, query, query_norm), static_cast<int64_t>(i));
  }
  std::vector<Neighbour> neighbours;
  for (const Ranked& ranked : best.take()) {
    const Stored& document = found[static_cast<size_t>(ranked.row)];
    neighbours.push_back({without_embedding(*document), ranked.cosine});
  }
  return neighbours;
}

Status MemoryStore::remove(std::string_view metadata_id) {
  const std::lock_guard lock(mutex_);
  const auto stored = documents_.find(metadata_id);
  if (stored != documents_.end()) documents_.erase(stored);
  return Status::ok();
}

Status MemoryStore::ping() {
  return Status::ok();
}

}  // namespace ca4::store
