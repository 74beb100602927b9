// Responses as bytes.
#pragma once

#include <cstdint>
#include <string>

#include "http/server.h"

namespace ca4::http {

// Appends the response in HTTP/1.1. `head_only` leaves the body out (HEAD), not its length;
// `keep_alive` false adds "Connection: close". `unix_s` is for the Date header.
void append_response(const Response& response, bool head_only, bool keep_alive, int64_t unix_s,
                     std::string& out);

}  // namespace ca4::http
