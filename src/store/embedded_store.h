// The document store of `ca4 up`: one SQLite file in the data folder, for one machine. The metadata
// lie in one table, the embeddings in another of the same row ids, so that neither scan reads what
// the other needs.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/sqlite.h"
#include "store/document_store.h"
#include "store/embedded_readers.h"

namespace ca4::store {

struct EmbeddedStoreOptions {
  // The store is the file `file_name` in the folder `dir`, which is made where missing, unless
  // read-only.
  std::string dir;
  std::string file_name = "ca4.gpu_metadata.db";
  // Never writes a document: for `ca4 query` beside a running pipeline or after it. `upsert` and
  // `remove` are then a defect of the caller.
  bool read_only = false;
  // Threads of one similarity search. Reading memory is its limit, and two threads reach that.
  unsigned similar_threads = 2;
};

// Writers take turns, readers never wait: each sees the state of some commit. Several processes may
// use one store at the same time.
class EmbeddedStore final : public DocumentStore {
 public:
  // kNotFound when read-only and there is no store; kConfig when it was written by a newer CA4;
  // kCorruption when the file is something else.
  static Result<std::unique_ptr<EmbeddedStore>> open(const EmbeddedStoreOptions& options);
  ~EmbeddedStore() override;

  // One transaction a batch, synced before it returns: all of it is kept, or with a failed Result
  // nothing.
  Result<std::vector<UpsertResult>> upsert(std::span<const Document> batch) override;
  // Keeps eight bytes for each document that it found. One that is written or removed meanwhile
  // is visited as it is then, at its old place, if the conditions still hold.
  Status find(const Filter& filter, const FindOptions& options, const Visit& visit) override;
  Result<uint64_t> count(const Filter& filter) override;
  // Reads every embedding of the filter. What is written meanwhile may or may not be seen.
  Result<std::vector<Neighbour>> similar(std::span<const float> query, size_t k,
                                         const Filter& filter) override;
  Status remove(std::string_view metadata_id) override;
  Status ping() override;

 private:
  struct Writer;

  EmbeddedStore(const EmbeddedStoreOptions& options, const std::string& file);
  Status open_writer(const std::string& file);
  Status check_readable();

  const unsigned similar_threads_;
  std::mutex write_mutex_;
  std::unique_ptr<Writer> writer_;  // guarded by write_mutex_; none when read-only
  ReaderPool readers_;
};

}  // namespace ca4::store
