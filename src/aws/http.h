// One HTTP request and its answer, for the few AWS interfaces that CA4 speaks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace ca4::aws {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers = {};  // "Name: value"
  std::string_view body = {};             // must outlive the call
  // Several round trips of a bad link; what answers no SYN is away.
  int64_t connect_timeout_ms = 5'000;
  // A peer that sends and takes no byte for so long is away. Well inside the 30 s that Kubernetes
  // gives a process to end.
  int64_t silence_timeout_ms = 15'000;
  // However busily bytes move: 8 MiB, the largest request we make, at 28 kB/s.
  int64_t timeout_ms = 300'000;
  // A longer answer is kTooLarge. The default is beyond any page of S3's lists (1000 keys).
  size_t reply_bytes_max = 16U << 20;
  // Past proxies that the environment names: link-local addresses exist on this host only.
  bool direct = false;
};

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string, std::less<>> headers;  // names in lower case
  std::string body;

  // The header's value, empty when there is none. `name` in lower case.
  std::string_view header(std::string_view name) const;
};

// Thread-safe.
class Http {
 public:
  virtual ~Http() = default;
  // The answer, whatever its status; redirects are answers. kUnavailable with address and reason
  // when there is none or it breaks off, kTooLarge when it is too long.
  virtual Result<HttpReply> send(const HttpRequest& request) = 0;
};

// On libcurl; connections are kept open and used again. Servers must show a certificate that the
// system trusts, or with `ca_file` (PEM) one that this file vouches for.
std::unique_ptr<Http> make_http(const std::string& ca_file = "");

}  // namespace ca4::aws
