#include "store/embedded_readers.h"

namespace ca4::store {
namespace {

// Two searches of two threads each find theirs warm; more would hold descriptors for nothing.
constexpr size_t kIdleMax = 4;
// SQLite's own ceiling (SQLITE_MAX_MMAP_SIZE, 2 GiB less 64 KiB): about 220,000 embeddings of 2048
// floats; what lies beyond is read by system calls, at half the speed. CA4 never shortens the file,
// so the map stays valid.
constexpr int64_t kMapBytes = 0x7fff0000;

}  // namespace

ReaderPool::Lease::~Lease() {
  if (pool_ != nullptr) pool_->give_back(std::move(db_));
}

Result<ReaderPool::Lease> ReaderPool::take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      Lease lease(*this, std::move(idle_.back()));
      idle_.pop_back();
      return lease;
    }
  }
  Result<sqlite::Database> db =
      sqlite::Database::open(file_, {.read_only = true, .mmap_bytes = kMapBytes});
  if (!db) return db.status();
  return Lease(*this, std::move(*db));
}

void ReaderPool::give_back(sqlite::Database db) {
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleMax) idle_.push_back(std::move(db));
}

}  // namespace ca4::store
