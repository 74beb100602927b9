// The two ways of a dead letter back into the pipeline.
#pragma once

#include "log/event_log.h"
#include "producer/transport.h"
#include "worker/dead_letters.h"

namespace ca4::cli {

// Appends the record as it was to the source log. The event keeps its version: where a newer one of
// its id is stored by now, that one stays. `source` must outlive what is returned.
worker::Resend into_log(log::EventLog& source);

// Posts the event to a processor. It counts as accepted now, so it replaces what is stored under
// its id. Waits out a processor that is busy or restarts, for half a minute a letter.
worker::Resend through_processor(const producer::HttpOptions& processor);

}  // namespace ca4::cli
