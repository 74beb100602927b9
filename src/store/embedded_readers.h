// Read connections to one SQLite file, kept open between uses: a warm memory map is half of a
// similarity search's time.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "base/sqlite.h"

namespace ca4::store {

// Thread-safe. Must outlive its leases.
class ReaderPool {
 public:
  explicit ReaderPool(std::string file) : file_(std::move(file)) {}

  // A connection for one thread; goes back to the pool when destroyed. Its statements must be gone
  // by then.
  class Lease {
   public:
    Lease(ReaderPool& pool, sqlite::Database db) : pool_(&pool), db_(std::move(db)) {}
    Lease(Lease&& other) noexcept : pool_(other.pool_), db_(std::move(other.db_)) {
      other.pool_ = nullptr;
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease();
    sqlite::Database& db() { return db_; }

   private:
    ReaderPool* pool_;
    sqlite::Database db_;
  };

  // An idle connection, or a new one. As many are open as threads read at the same time.
  Result<Lease> take();

 private:
  void give_back(sqlite::Database db);

  const std::string file_;
  std::mutex mutex_;
  std::vector<sqlite::Database> idle_;  // guarded by mutex_
};

}  // namespace ca4::store
