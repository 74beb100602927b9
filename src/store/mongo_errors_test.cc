#include "store/mongo_errors.h"

#include <gmock/gmock.h>

namespace ca4::store {
namespace {

using testing::HasSubstr;
using testing::Not;

bson_error_t server_error(uint32_t code, const char* message) {
  bson_error_t error;
  bson_set_error(&error, MONGOC_ERROR_SERVER, code, "%s", message);
  return error;
}

TEST(MongoErrors, DuplicatesRefusalsAndTheRestAreToldApart) {
  constexpr const char* kById =
      "E11000 duplicate key error collection: ca4.x index: _id_ dup key: { _id: \"b\" }";
  constexpr const char* kByOther =
      "E11000 duplicate key error collection: ca4.x index: source_uri_1 dup key: { source_uri: 1 }";
  EXPECT_EQ(classify_write_error(11000, kById), WriteFailure::kDuplicate);
  EXPECT_EQ(classify_write_error(11000, "UNIQUE constraint failed: x._id"),
            WriteFailure::kDuplicate);
  EXPECT_EQ(classify_write_error(11000, kByOther), WriteFailure::kDeadLetter);
  for (const int32_t code : {2, 22, 121, 10334, 16766, 17261, 17262, 17280, 17419}) {
    EXPECT_EQ(classify_write_error(code, ""), WriteFailure::kDeadLetter) << code;
  }
  // Stepdown, time, disk, rights, quota; and what nobody has heard of.
  for (const int32_t code : {189, 10107, 50, 262, 64, 14031, 13, 8000, 8, 0, -1, 999'999}) {
    EXPECT_EQ(classify_write_error(code, ""), WriteFailure::kRetry) << code;
  }
}

TEST(MongoErrors, WhatMayPassIsUnavailableAndAnUnknownRefusalInternal) {
  EXPECT_EQ(to_status(server_error(10107, "not primary"), "db:1").to_string(),
            "unavailable: MongoDB at db:1: not primary (code 10107)");
  EXPECT_EQ(to_status(server_error(73, "Invalid namespace"), "db:1").to_string(),
            "internal: MongoDB at db:1: Invalid namespace (code 73)");
  bson_error_t network;
  bson_set_error(&network, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET, "socket closed");
  EXPECT_EQ(to_status(network, "db:1").code(), Code::kUnavailable);
}

TEST(MongoErrors, ARefusedLoginSaysWhereToLook) {
  bson_error_t client;
  bson_set_error(&client, MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE,
                 "Authentication failed.");
  for (const bson_error_t& error : {client, server_error(13, "not authorized on ca4")}) {
    const Status status = to_status(error, "db:1");
    EXPECT_EQ(status.code(), Code::kUnavailable);
    EXPECT_THAT(status.message(), HasSubstr("authSource"));
  }
}

TEST(MongoErrors, ACertificateThatIsNotTrustedSaysWhatToGive) {
  bson_error_t error;
  bson_set_error(&error, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
                 "TLS handshake failed: certificate verify failed");
  EXPECT_THAT(to_status(error, "db:1").message(), HasSubstr("store.mongo_ca_file"));
}

TEST(MongoErrors, AServerThatIsNotFoundSaysWhatToLookAt) {
  bson_error_t error;
  bson_set_error(&error, MONGOC_ERROR_SERVER_SELECTION, MONGOC_ERROR_SERVER_SELECTION_FAILURE,
                 "No suitable servers found: [Failed to read 4 bytes: socket error or timeout]");
  const Status status = to_status(error, "db:1");
  EXPECT_EQ(status.code(), Code::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("tls=true"));
}

TEST(MongoErrors, AMessageIsBounded) {
  const std::string quoted(503, 'x');
  EXPECT_LT(to_status(server_error(13, quoted.c_str()), "db:1").message().size(), 600U);
}

}  // namespace
}  // namespace ca4::store
