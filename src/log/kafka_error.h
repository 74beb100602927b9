// What librdkafka's and the brokers' errors mean to CA4. Internal to the Kafka log.
#pragma once

#include <librdkafka/rdkafka.h>

#include <string>

#include "base/status.h"

namespace ca4::log {

// Never Ok: `err` must be an error. `topic`, unless empty, is named in the message; `detail`, where
// there is one, is what else is known, such as the last thing that a connection died of.
Status kafka_status(rd_kafka_resp_err_t err, const std::string& topic,
                    const std::string& detail = {});

// Whether it stands in the place of records that came damaged, on the way or from a broker's disk.
bool is_damage(rd_kafka_resp_err_t err);

}  // namespace ca4::log
