// Owners of libbson's documents. (std::unique_ptr can't: bson_t's alignment is an attribute that
// template arguments lose.)
#pragma once

#include <bson/bson.h>

#include <utility>

namespace ca4::store {

// A document on the heap, freed with this.
class BsonPtr {
 public:
  BsonPtr() : bson_(bson_new()) {}
  explicit BsonPtr(bson_t* bson) : bson_(bson) {}  // takes it; may be null
  BsonPtr(BsonPtr&& other) noexcept : bson_(std::exchange(other.bson_, nullptr)) {}
  BsonPtr& operator=(BsonPtr&& other) noexcept {
    std::swap(bson_, other.bson_);
    return *this;
  }
  ~BsonPtr() { bson_destroy(bson_); }

  bson_t* get() const { return bson_; }
  bson_t& operator*() const { return *bson_; }
  bson_t* operator->() const { return bson_; }

 private:
  bson_t* bson_;
};

// A document that libmongoc fills in, also when it fails.
class BsonReply {
 public:
  BsonReply() { bson_init(&bson_); }
  BsonReply(const BsonReply&) = delete;
  BsonReply& operator=(const BsonReply&) = delete;
  ~BsonReply() { bson_destroy(&bson_); }
  bson_t* get() { return &bson_; }
  const bson_t& bson() const { return bson_; }

 private:
  bson_t bson_;
};

}  // namespace ca4::store
