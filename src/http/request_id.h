// What each request is called, in its answer and in what is logged about it.
#pragma once

#include <string>

#include "http/server.h"

namespace ca4::http {

inline constexpr const char* kRequestId = "X-Request-Id";

// Thread-safe.
class RequestIds {
 public:
  RequestIds();

  // The X-Request-Id that it came with, if that is 1 to 64 of A-Z a-z 0-9 . _ -, else a new one.
  std::string of(const Request& request) const;

 private:
  // Two processes, or one before and after a restart, give different ids.
  const std::string prefix_;
};

}  // namespace ca4::http
