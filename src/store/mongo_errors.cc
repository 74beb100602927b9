#include "store/mongo_errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "event/json_text.h"

namespace ca4::store {
namespace {

constexpr int32_t kDuplicates[] = {
    11000,  // DuplicateKey
    11001,  // the same on update, of old servers
};

constexpr int32_t kDocumentRefusals[] = {
    2,      // BadValue
    9,      // FailedToParse
    14,     // TypeMismatch
    15,     // Overflow: nested too deep
    22,     // InvalidBSON
    52,     // DollarPrefixedFieldName
    53,     // InvalidIdField
    55,     // InvalidDBRef
    56,     // EmptyFieldName
    57,     // DottedFieldName
    121,    // DocumentValidationFailure
    171,    // CannotIndexParallelArrays
    10334,  // BSONObjectTooLarge
    // Indexes that can't take the value:
    13026,  // 2d: no coordinates
    13027,  // 2d: coordinates out of its range
    13068,  // 2d: one coordinate
    16755,  // 2dsphere: no geometry
    16766,  // hashed: an array
    17261,  // text: `language` is no text
    17262,  // text: `language` is none that it knows
    17280,  // KeyTooLong
    17419,  // the update makes the document too large
    17420,  // the upsert makes the document too large
};

constexpr int32_t kLoginRefusals[] = {
    18,    // AuthenticationFailed
    13,    // Unauthorized
    8000,  // AtlasError: Atlas' own login, and its quotas
};

// Those of MongoDB's retryable error labels, and what asks for patience in other words.
constexpr int32_t kPassing[] = {
    6,      // HostUnreachable
    7,      // HostNotFound
    24,     // LockTimeout
    50,     // MaxTimeMSExpired
    64,     // WriteConcernFailed: not confirmed in time
    74,     // NodeNotFound
    79,     // UnknownReplWriteConcern
    89,     // NetworkTimeout
    91,     // ShutdownInProgress
    100,    // UnsatisfiableWriteConcern: members are missing
    112,    // WriteConflict
    133,    // FailedToSatisfyReadPreference
    134,    // ReadConcernMajorityNotAvailableYet
    189,    // PrimarySteppedDown
    202,    // NetworkInterfaceExceededTimeLimit
    262,    // ExceededTimeLimit
    9001,   // SocketException
    10058,  // NotPrimary of old servers
    10107,  // NotWritablePrimary
    11600,  // InterruptedAtShutdown
    11602,  // InterruptedDueToReplStateChange
    13435,  // NotPrimaryNoSecondaryOk
    13436,  // NotPrimaryOrSecondary
    14031,  // OutOfDiskSpace
};

template <size_t N>
bool contains(const int32_t (&codes)[N], int32_t code) {
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

// "E11000 duplicate key error collection: ca4.gpu_metadata index: source_uri_1 dup key: ..."
bool is_of_another_index(std::string_view message) {
  constexpr std::string_view kIndex = " index: ";
  const size_t at = message.find(kIndex);
  return at != message.npos && !message.substr(at + kIndex.size()).starts_with("_id_");
}

bool is_login(const bson_error_t& error) {
  const bool client =
      error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE;
  const bool server = error.domain == MONGOC_ERROR_SERVER &&
                      contains(kLoginRefusals, static_cast<int32_t>(error.code));
  return client || server || error.domain == MONGOC_ERROR_SCRAM ||
         error.domain == MONGOC_ERROR_SASL;
}

}  // namespace

WriteFailure classify_write_error(int32_t code, std::string_view message) {
  if (contains(kDuplicates, code)) {
    return is_of_another_index(message) ? WriteFailure::kDeadLetter : WriteFailure::kDuplicate;
  }
  if (contains(kDocumentRefusals, code)) return WriteFailure::kDeadLetter;
  return WriteFailure::kRetry;
}

Status to_status(const bson_error_t& error, std::string_view hosts) {
  // A server may quote the whole command in its answer.
  constexpr size_t kTextBytesMax = 400;
  const std::string_view text = event::excerpt(error.message, kTextBytesMax);
  if (is_login(error)) {
    return {Code::kUnavailable,
            fmt::format("MongoDB at {} refuses the login or the right: {} (check user, password, "
                        "authSource and roles of MONGO_URI)",
                        hosts, text)};
  }
  if (text.find("certificate verify failed") != text.npos) {
    return {Code::kUnavailable,
            fmt::format("MongoDB at {}: {} (give the CA that signed its certificate in "
                        "store.mongo_ca_file, and the name that is in it in MONGO_URI)",
                        hosts, text)};
  }
  if (error.domain == MONGOC_ERROR_SERVER) {
    const Code code =
        contains(kPassing, static_cast<int32_t>(error.code)) ? Code::kUnavailable : Code::kInternal;
    return {code, fmt::format("MongoDB at {}: {} (code {})", hosts, text, error.code)};
  }
  // Its library says no more of a server that speaks TLS where none was asked for, or none.
  const bool nobody = error.domain == MONGOC_ERROR_SERVER_SELECTION;
  return {
      Code::kUnavailable,
      fmt::format("MongoDB at {}: {}{}", hosts, text,
                  nobody ? " (does it run, may this machine reach it, and has MONGO_URI tls=true "
                           "just where it speaks TLS?)"
                         : "")};
}

bool is_server_error(const bson_error_t& error, int32_t code) {
  return error.domain == MONGOC_ERROR_SERVER && static_cast<int32_t>(error.code) == code;
}

}  // namespace ca4::store
