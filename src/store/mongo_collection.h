// libmongoc's handles, freed when they go out of scope, and its cursors.
#pragma once

#include <mongoc/mongoc.h>

#include <memory>
#include <string_view>

#include "base/status.h"
#include "store/mongo_errors.h"

namespace ca4::store {

struct MongoDeleter {
  void operator()(mongoc_collection_t* p) const { mongoc_collection_destroy(p); }
  void operator()(mongoc_database_t* p) const { mongoc_database_destroy(p); }
  void operator()(mongoc_bulk_operation_t* p) const { mongoc_bulk_operation_destroy(p); }
  void operator()(mongoc_cursor_t* p) const { mongoc_cursor_destroy(p); }
  void operator()(mongoc_write_concern_t* p) const { mongoc_write_concern_destroy(p); }
  void operator()(mongoc_read_concern_t* p) const { mongoc_read_concern_destroy(p); }
  void operator()(mongoc_read_prefs_t* p) const { mongoc_read_prefs_destroy(p); }
};

template <class T>
using MongoPtr = std::unique_ptr<T, MongoDeleter>;

// Visits what a cursor gives, until `visit` returns false.
template <class Visit>
Status read_all(mongoc_cursor_t& cursor, std::string_view hosts, const Visit& visit) {
  const bson_t* bson = nullptr;
  while (mongoc_cursor_next(&cursor, &bson)) {
    if (!visit(*bson)) return Status::ok();
  }
  bson_error_t error;
  if (mongoc_cursor_error(&cursor, &error)) return to_status(error, hosts);
  return Status::ok();
}

}  // namespace ca4::store
