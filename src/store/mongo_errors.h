// What a MongoDB server's failures mean for who asked. Pure.
#pragma once

#include <mongoc/mongoc.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::store {

// What becomes of a document whose write the server refused.
enum class WriteFailure {
  kDuplicate,   // a document with this id is there that the filter did not match
  kDeadLetter,  // this document will never be taken
  kRetry,       // anything else: it may be taken later
};

// By the error codes of MongoDB's error_codes.yml. A duplicate in another unique index than that of
// `_id` (somebody made one) is the document's fault. Otherwise only refusals that are known to be
// the document's own are kDeadLetter: one that is retried in vain is seen in the log and the lag,
// and nothing of it is lost.
WriteFailure classify_write_error(int32_t code, std::string_view message);

// A whole request's failure: kUnavailable when it may pass (network, election, login), else
// kInternal. `hosts` names the server in the message; what to do is added where it is known. No
// message holds a password: libmongoc puts none into its errors.
Status to_status(const bson_error_t& error, std::string_view hosts);

// Whether the server itself said `code`.
bool is_server_error(const bson_error_t& error, int32_t code);

}  // namespace ca4::store
