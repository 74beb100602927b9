// From an accepted event to the document that is stored: pure, no I/O, callable from any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "event/event.h"
#include "log/event_log.h"
#include "store/document_store.h"

namespace ca4::worker {

// Where the event stands in its log, and when it is worked on.
struct TransformContext {
  std::string topic;
  int32_t partition = 0;
  int64_t offset = 0;
  int64_t processed_at_us = 0;
  std::optional<std::string> traceparent = {};  // of the request that brought the event
};

// Why a record became no document, and at which step.
struct Failure {
  std::string
      stage;  // "decode": the record can't be read; "transform": its content can't be stored
  std::string reason;  // for people
  // The same for metrics, one of few words: "unreadable", the field that is wrong, "metadata" as a
  // whole, "refused" by the store.
  std::string cause = {};
};

// The document of an event. False where it can't be stored, with the field that is wrong in
// `failure`: it will be the same the next time, so the event belongs in the dead letters. Detail
// that is merely unexpected (a GPU field of another type, tags that are no list of strings) is left
// out of the typed part and kept in the JSON as it came; it is never an error.
//
// Units of the typed GPU part: the contract's names say `total_memory_gb` and `memory_*_mb`, so
// GB is read as 10^9 bytes and MB as 10^6 (SI), for all three alike. A notebook that divides by
// 1024^3 or 1024^2 under these names is then 7 % or 5 % low here; what it sent stays untouched in
// `gpu_hardware_json`.
bool transform(const event::EventView& event, const TransformContext& context,
               store::Document& document, Failure& failure);

// Reads the event of a log record, in either of its forms (event/value_reader.h), and transforms
// it. On failure returns false and fills `failure`.
bool to_document(const log::Record& record, const std::string& topic, int64_t processed_at_us,
                 store::Document& document, Failure& failure);

}  // namespace ca4::worker
