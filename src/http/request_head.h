// The head of a request, from bytes to what the server acts on.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/server.h"

namespace ca4::http {

struct Head {
  Request request;  // without peer, id and body
  uint64_t content_bytes = 0;
  bool chunked = false;
  bool keep_alive = true;
  bool expects_continue = false;
};

// Why a request is refused before anybody looks at its body.
struct HeadError {
  int status = 400;
  std::string detail;
};

// Parses `text`, a whole head with its final empty line. Strict where leniency lets two parsers
// disagree on where a request ends (RFC 9112 section 11.2): line folding, a Content-Length beside a
// Transfer-Encoding or another Content-Length, also in one field, any transfer coding but chunked.
// What an absolute-form target names stands in the Host header afterwards, whatever that was.
std::optional<HeadError> parse_head(std::string_view text, Head& out);

// Undoes a body in chunked coding as it comes. One body an object.
class ChunkedBody {
 public:
  explicit ChunkedBody(size_t bytes_max);
  ~ChunkedBody();
  ChunkedBody(const ChunkedBody&) = delete;
  ChunkedBody& operator=(const ChunkedBody&) = delete;

  // Takes bytes of the coded body; `used` says how many: none when more have to come first. 400
  // when they are no chunked coding, 413 when the body would be larger than bytes_max.
  std::optional<HeadError> take(std::string_view coded, size_t& used);
  bool done() const;
  const std::string& bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ca4::http
