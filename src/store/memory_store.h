// A document store in memory: for tests, and what the others are compared with.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "store/document_store.h"

namespace ca4::store {

// Holds everything until it is destroyed; nothing is durable.
class MemoryStore final : public DocumentStore {
 public:
  Result<std::vector<UpsertResult>> upsert(std::span<const Document> batch) override;
  Status find(const Filter& filter, const FindOptions& options, const Visit& visit) override;
  Result<uint64_t> count(const Filter& filter) override;
  Result<std::vector<Neighbour>> similar(std::span<const float> query, size_t k,
                                         const Filter& filter) override;
  Status remove(std::string_view metadata_id) override;
  Status ping() override;

 private:
  using Stored = std::shared_ptr<const Document>;

  UpsertResult upsert_one(const Document& document);
  // A snapshot: visitors run without the lock, so that they may use the store themselves.
  std::vector<Stored> matching(const Filter& filter) const;

  mutable std::mutex mutex_;
  std::map<std::string, Stored, std::less<>> documents_;  // guarded by mutex_
};

}  // namespace ca4::store
