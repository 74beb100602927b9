// Responses as bytes.
#pragma once

#include <cstdint>
#include <string>

#include "http/server.h"

namespace ca4::http {

// What is the same for all responses of a connection.
struct ResponseContext {
  bool tls = false;    // adds Strict-Transport-Security
  int64_t unix_s = 0;  // for the Date header
};

// Appends the response in HTTP/1.1. `head_only` leaves the body out (HEAD), not its length;
// `keep_alive` false adds "Connection: close". No browser may take it for another type than it
// says, nor anybody keep it where it says nothing about that itself.
void append_response(const Response& response, bool head_only, bool keep_alive,
                     const ResponseContext& context, std::string& out);

}  // namespace ca4::http
