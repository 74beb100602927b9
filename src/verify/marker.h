// The events and documents that a check makes, told from everybody else's by their pipeline.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "event/event.h"
#include "store/document_store.h"

namespace ca4::verify {

inline constexpr const char* kMarkerPipeline = "ca4-verify";

// "ca4-verify-" and a UUID.
std::string marker_id();

// The marker as a client sends it, POST /metadata; its embedding has this length.
inline constexpr size_t kMarkerDim = 8;
std::string marker_json(const std::string& id);

// The same as the processor appends it, accepted at `now_us`.
event::Event marker_event(const std::string& id, int64_t now_us);

// The same as a document, for a store without a worker.
store::Document marker_document(const std::string& id, int64_t now_us);

// Removes the documents that checks left behind because they were interrupted, or had no way to the
// store; those younger than kMarkerAgeUs may be another check's that runs now. Returns how many.
inline constexpr int64_t kMarkerAgeUs = 10 * 60 * 1'000'000LL;
Result<size_t> sweep(store::DocumentStore& store, int64_t now_us);

}  // namespace ca4::verify
