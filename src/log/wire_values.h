// Between a log of opaque bytes and the events in it: what a consumer of the topic gets to see is
// JSON (the wire contract's "Kafka event"), or the binary record.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "event/value_reader.h"
#include "log/event_log.h"

namespace ca4::log {

// What a record's headers and time say of the event in it.
event::Origin origin_of(const Headers& headers, int64_t appended_at_us);

enum class ValueFormat {
  kJson,    // event::to_wire_json
  kRecord,  // event::encode: a third of the bytes, and nothing is printed or parsed
};

// A log in front of `target` that takes event records and appends them in this format, with
// event::kVersionHeader, which JSON has no field for. A value that is no event record goes through
// as it is: it came from the topic before (a dead letter on its way again). Everything else is the
// target's. Conversion happens in the caller of `append`. `record_bytes_max` is the largest key and
// value that the target takes: `admits` converts only what may come near it.
std::unique_ptr<EventLog> with_wire_values(std::unique_ptr<EventLog> target, ValueFormat format,
                                           size_t record_bytes_max);

}  // namespace ca4::log
