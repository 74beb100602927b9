// The event log's port on Apache Kafka.
#pragma once

#include "cli/ports.h"
#include "log/kafka_options.h"

namespace ca4::cli {

// Brokers, security and limits as the settings say, for `topic`. kConfig names the setting that is
// wrong; reads the password file.
Result<log::KafkaOptions> kafka_options(const Site& site, const std::string& topic, bool appends);

Result<std::unique_ptr<log::EventLog>> kafka_events(const Site& site, Roles roles);
Result<std::unique_ptr<log::EventLog>> kafka_dead_letters(const Site& site, bool writes);

}  // namespace ca4::cli
