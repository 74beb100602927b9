// How librdkafka packs with zstd. Internal to the Kafka log.
#pragma once

namespace ca4::log {

// From now on librdkafka's zstd looks less hard for what comes again: see the .cc. Thread-safe.
void pack_quickly();

}  // namespace ca4::log
