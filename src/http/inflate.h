// Compressed request bodies.
#pragma once

#include "base/status.h"
#include "http/server.h"

namespace ca4::http {

// Undoes the request's Content-Encoding (none, identity, gzip, zstd) in place and takes the header
// away; the body keeps its padding. A request that fails is left as it was: kTooLarge when it would
// be larger than `inflated_bytes_max`, found out without inflating more than that; kInvalidArgument
// when the bytes are not what the header says; kNotFound for another encoding, or several. Not for
// the event loop where bodies are large: some 3 ms a MiB.
Status inflate_body(Request& request, size_t inflated_bytes_max);

}  // namespace ca4::http
