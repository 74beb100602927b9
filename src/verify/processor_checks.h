// What several suites ask a processor.
#pragma once

#include <string>

#include "http/fetch.h"
#include "verify/checklist.h"
#include "verify/suites.h"

namespace ca4::verify {

// POSTs `body` to /metadata, with the token.
http::FetchOutcome post_metadata(const Processor& processor, const std::string& body,
                                 int64_t timeout_ms);

// No answer at all: why, and what to do.
Finding no_answer(const Processor& processor, const http::FetchOutcome& outcome);

// An answer that is not the one hoped for: 401, 403, 404, 413, 503 and the rest.
Finding wrong_answer(const Processor& processor, const http::Fetched& answer);

Finding processor_health(const Processor& processor, const std::string& version,
                         int64_t timeout_ms);
Finding processor_ready(const Processor& processor, int64_t timeout_ms);
// Whether the token may write, found out with an event that is refused: nothing is stored.
Finding processor_token(const Processor& processor, int64_t timeout_ms);
// The processor's clock beside ours, and whether ours is possible at all.
Finding clock_sane(const Processor& processor, int64_t timeout_ms);

}  // namespace ca4::verify
