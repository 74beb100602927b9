// How the producer reaches the processor. An interface, so that tests can fail it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/status.h"

namespace ca4::producer {

struct Reply {
  int status = 0;  // of HTTP
  std::string body;
  std::optional<int64_t> retry_after_ms;  // the server's Retry-After
  std::string ngrok_error = {};           // header Ngrok-Error-Code: ngrok answers, not the server
};

class Transport {
 public:
  virtual ~Transport() = default;
  // Posts `body` to the path below the endpoint and waits for the answer, whatever its status.
  // kUnavailable when there is none: no connection, cut off, timed out; the server may or may not
  // have taken the body then. Thread-safe.
  virtual Result<Reply> post(std::string_view path, std::string_view content_type,
                             std::string_view body) = 0;
  // Asks for what is at the path, likewise, for no longer than a few seconds. Thread-safe.
  virtual Result<Reply> get(std::string_view path) = 0;
};

struct HttpOptions {
  std::string endpoint;                // "http://127.0.0.1:8000", with or without a path
  std::string token;                   // sent as "Authorization: Bearer"; empty: none
  std::string ca_file = {};            // PEM certificates to trust; empty: libcurl's own
  int64_t connect_timeout_ms = 5'000;  // several round trips to the far side of the world
  // A batch is parsed and made durable in well under a second; a server that takes longer than this
  // is stuck, and trying again is safe.
  int64_t request_timeout_ms = 60'000;
  int64_t get_timeout_ms = 10'000;  // what is asked for so is small, and can be done without
  // Once requested, requests on their way and new ones end at once, as if the server were gone.
  std::stop_token abandon = {};
};

// Over libcurl, with connections kept alive. HTTP and HTTPS, certificates checked.
std::unique_ptr<Transport> make_http_transport(const HttpOptions& options);

}  // namespace ca4::producer
