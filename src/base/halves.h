// Finding what of a batch is refused for good, so that its neighbours get in.
#pragma once

#include <cstddef>
#include <functional>

#include "base/status.h"

namespace ca4 {

// Whether trying the same again would get the same answer, as it is the thing that is wrong:
// kInvalidArgument and kTooLarge. Everything else is a trouble of who was asked (also kCorruption:
// of its own files) and may pass.
bool is_final_refusal(const Status& status);

// Tries the things 0 to count - 1, in order, with as few calls as may be: all at once, and where
// that is refused for good the two halves, until a thing is alone that is refused. That one goes to
// `refuse`, with the reason. Ends at the first trouble that may pass, of `attempt`, or any failure
// of `refuse`, and returns it: what came before is done, what comes after was not tried. In the
// caller's thread; of 1024 things one that is bad costs 21 calls.
using Attempt = std::function<Status(size_t begin, size_t count)>;
using Refuse = std::function<Status(size_t index, const Status& why)>;
Status try_in_halves(size_t count, const Attempt& attempt, const Refuse& refuse);

}  // namespace ca4
