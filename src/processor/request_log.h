// Requests in the program's messages: what each is called, and the lines about it.
#pragma once

#include <memory>

#include "http/server.h"

namespace ca4::processor {

// Thread-safe.
class RequestLog {
 public:
  RequestLog();
  ~RequestLog();
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;

  // A handler that gives each request an id: the X-Request-Id it came with, if that is 1 to 64 of
  // A-Z a-z 0-9 . _ -, else a new one. The answer has it in X-Request-Id, and what is logged about
  // the request has it as request_id, with the trace_id of its traceparent where there is one.
  // Logged are: at debug each request with its token's name and its answer's status, time and size;
  // at warn an answer of 500 and above with its reason, of each status once in half a minute. Never
  // headers, queries or bodies. This object must outlive the handler and its last answer.
  http::Handler watch(http::Handler inner);

  // The same for what is refused by its head alone.
  http::EarlyRefusal watch_early(http::EarlyRefusal inner);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::processor
