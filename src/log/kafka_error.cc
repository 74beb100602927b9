#include "log/kafka_error.h"

#include <fmt/format.h>

#include <algorithm>

namespace ca4::log {
namespace {

struct Meaning {
  rd_kafka_resp_err_t err;
  Code code;
  const char* text;
};

constexpr const char* kNoAnswer = "the brokers do not answer";
constexpr const char* kNoTopic = "there is no such topic: `ca4 topics ensure` makes it";
constexpr const char* kTooLarge =
    "a record is larger than max.message.bytes of the topic, which `ca4 topics list` shows";
constexpr const char* kNoRight = "the brokers do not let this user do it";
constexpr const char* kNoLogin =
    "the brokers refuse this client: look at kafka.security_protocol, "
    "the user and password, and the certificates";
constexpr const char* kDamaged =
    "what came is damaged, on its way or on the broker's disk, and is asked for again";
constexpr const char* kFewReplicas = "too few replicas are in sync to make records durable";

constexpr Meaning kMeanings[] = {
    {RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR__TIMED_OUT, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR__TRANSPORT, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR__RESOLVE, Code::kUnavailable, kNoAnswer},
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, Code::kUnavailable, kNoTopic},
    {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, Code::kUnavailable, kNoTopic},
    {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, Code::kUnavailable, kNoTopic},
    // A wrong checksum; a version of the format that there is not, which no checksum covers.
    {RD_KAFKA_RESP_ERR__BAD_MSG, Code::kUnavailable, kDamaged},
    {RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED, Code::kUnavailable, kDamaged},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Code::kTooLarge, kTooLarge},
    {RD_KAFKA_RESP_ERR__QUEUE_FULL, Code::kOverloaded, "too many records wait for the brokers"},
    {RD_KAFKA_RESP_ERR__AUTHENTICATION, Code::kUnavailable, kNoLogin},
    {RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, Code::kUnavailable, kNoLogin},
    {RD_KAFKA_RESP_ERR__SSL, Code::kUnavailable, kNoLogin},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Code::kUnavailable, kNoRight},
    {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, Code::kUnavailable, kNoRight},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, Code::kUnavailable, kNoRight},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Code::kUnavailable, kFewReplicas},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, Code::kUnavailable, kFewReplicas},
    // Brokers since 4.0 take no record from more than an hour ahead of their clock, those of
    // deploy/k8s none from a day behind.
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, Code::kUnavailable,
     "this machine's clock is too far from the brokers': set it right"},
};

// Null for what is not in the table.
const Meaning* meaning_of(rd_kafka_resp_err_t err) {
  const auto* row = std::find_if(std::begin(kMeanings), std::end(kMeanings),
                                 [err](const Meaning& one) { return one.err == err; });
  return row == std::end(kMeanings) ? nullptr : row;
}

}  // namespace

Status kafka_status(rd_kafka_resp_err_t err, const std::string& topic, const std::string& detail) {
  const Meaning* const known = meaning_of(err);
  std::string text = fmt::format("{}: {} ({})", topic.empty() ? "kafka" : "kafka topic " + topic,
                                 known != nullptr ? known->text : "failed", rd_kafka_err2str(err));
  if (!detail.empty()) text += "; " + detail;
  return {known != nullptr ? known->code : Code::kUnavailable, std::move(text)};
}

bool is_damage(rd_kafka_resp_err_t err) {
  const Meaning* const known = meaning_of(err);
  return known != nullptr && known->text == kDamaged;
}

}  // namespace ca4::log
