// The log level over HTTP, as the loggers of other servers have it: GET shows it, PUT sets it.
#pragma once

#include "http/server.h"

namespace ca4::admin {

// {"level":"info"}
void get_log_level(const http::Request& request, const http::Respond& respond);

// The body is {"level":"debug"} or the bare word; the answer is as of GET. 400 for another word. It
// holds until the process ends.
void put_log_level(const http::Request& request, const http::Respond& respond);

}  // namespace ca4::admin
