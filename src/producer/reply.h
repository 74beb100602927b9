// What a processor's answer means for what was sent. Pure.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "producer/transport.h"

namespace ca4::producer {

// Of an answer as a whole: ok (2xx); kUnavailable when the same request may succeed later (408,
// 429, 5xx, or ngrok's own answer while the processor can't be reached through it); kTooLarge
// (413); otherwise kInvalidArgument. Messages carry the answer's own detail.
Status judge_reply(const Reply& reply);

// Of each line of a batch's answer, in the order sent: ok, kUnavailable (try this one again), or
// kInvalidArgument with the reason. Lines that are missing or unreadable are kUnavailable: nothing
// was promised for them.
std::vector<Status> judge_lines(const std::string& body, size_t count);

}  // namespace ca4::producer
