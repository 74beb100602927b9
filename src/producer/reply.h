// What a processor's answer means for what was sent. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "producer/transport.h"

namespace ca4::producer {

// Of an answer as a whole: ok (2xx); kUnavailable when the same request may succeed later (408,
// 429, 5xx, or ngrok's own answer while the processor can't be reached through it); kTooLarge
// (413); otherwise kInvalidArgument. Messages carry the answer's own detail.
Status judge_reply(const Reply& reply);

// Of what a processor answers to one event, with 2xx or as a line of a batch's answer: ok,
// kUnavailable (try it again), or kInvalidArgument with the reason. What no processor says, as the
// page of a proxy that wants a log-in, is kUnavailable: nothing was promised.
Status judge_event(std::string_view answer);

// Of an answer to GET /health: which processor it is, where it says so; otherwise empty.
std::string processor_id(const Reply& health);

// Of each line of a batch's answer, in the order sent. Lines that are missing are kUnavailable.
std::vector<Status> judge_lines(const std::string& body, size_t count);

}  // namespace ca4::producer
