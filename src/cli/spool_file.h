// The outbox's file as it is, beside a running processor or without one. Never changes it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "log/inspect.h"

namespace ca4::cli {

struct Waiting {
  int64_t first = 0;  // offset of the first event that was not forwarded
  int64_t records = 0;
  int64_t delivered = 0;             // forwarded, and not deleted yet
  std::optional<int64_t> oldest_us;  // when it was put there; none: nothing waits, or it is damaged
  int64_t used_bytes = 0;
  int64_t file_bytes = 0;
};

Result<Waiting> waiting_in(log::LogInspector& outbox);

// Writes what waits as consumers of Kafka get it, a line an event, to `path`, where it appears as a
// whole; to standard output when that is empty. Events that are damaged are told on standard error,
// left out, and make it kCorruption.
Status export_waiting(log::LogInspector& outbox, const std::string& path);

}  // namespace ca4::cli
