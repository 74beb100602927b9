// How librdkafka unpacks zstd. Internal to the Kafka log.
#pragma once

namespace ca4::log {

// From now on librdkafka unpacks in one go what became up to three times as large: see the .cc.
// Thread-safe.
void unpack_in_one_go();

}  // namespace ca4::log
