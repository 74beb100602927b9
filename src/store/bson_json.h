// JSON text into BSON (bsonspec.org) and back, for the parts of a document that producers fill
// freely. Pure.
//
// Numbers: what JSON writes as an integer that fits int64 becomes int64, everything else a double
// (an integer beyond int64 is rounded to the nearest one). A double comes back with a point or an
// exponent.
//
// Field names: no BSON name can hold a zero byte, and servers differ in whether one may hold a dot
// or begin with a dollar (Amazon DocumentDB: neither). These are written percent-encoded: "." as
// %2E, a leading "$" as %24, the zero byte as %00; and "%" as %25 where one of these four would
// otherwise be read out of the name. Every other name stands as it is.
#pragma once

#include <bson/bson.h>
#include <simdjson.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::store {

// Nesting of a JSON member. MongoDB takes 100 levels of a document; events have at most 32
// (event::kDepthMax).
inline constexpr size_t kBsonDepthMax = 90;

// `name` as it stands in BSON: itself, or its encoded form in `scratch`.
std::string_view encode_field_name(std::string_view name, std::string& scratch);
// The name that was encoded.
std::string decode_field_name(std::string_view name);

// Keeps its scratch memory between calls. One a thread.
class JsonToBson {
 public:
  // Appends the JSON value as the field `name` (not encoded: one of ours). kInvalidArgument says
  // what is wrong with it; `to` is then of no use any more.
  Status append(bson_t& to, std::string_view name, std::string_view json);
  // Appends the members of a JSON object that `wanted` names, under their encoded names.
  Status append_members(bson_t& to, std::string_view object,
                        const std::function<bool(std::string_view name)>& wanted);

 private:
  simdjson::ondemand::parser parser_;
  std::string padded_;
};

// Appends the value that `at` stands on as compact JSON. Types that JSON lacks (dates, object ids)
// become MongoDB's relaxed extended JSON, infinities and NaN null.
void append_json(std::string& out, const bson_iter_t& at);

}  // namespace ca4::store
