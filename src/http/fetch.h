// One HTTP request as a client, for checks and tools. Over libcurl.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace ca4::http {

struct Fetch {
  std::string method = "GET";
  std::string url;  // http or https
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  // Connecting, sending and the whole answer. A check has to end; a healthy server answers in
  // milliseconds.
  int64_t timeout_ms = 5'000;
  // A longer answer is no answer to a check.
  size_t answer_bytes_max = 1U << 20;
  // False: any certificate will do. Only for asking whether somebody speaks TLS there, and never
  // with a secret in the request.
  bool check_certificate = true;
  std::string ca_file = {};  // PEM certificates to trust; empty: libcurl's own
  // True: through the proxy that the environment names (https_proxy, http_proxy, no_proxy), if any,
  // but never to this machine's own addresses.
  bool may_use_proxy = false;
};

struct Fetched {
  int status = 0;  // of HTTP; an answer of any status is one
  std::string body;
  std::optional<int64_t> date_unix_s;  // the server's Date header
};

// Why there was no answer: what a person looks for next differs.
enum class NoAnswer {
  kUnresolved,  // the name is unknown
  kRefused,     // nobody listens there
  kCutOff,      // connected, and then the other side hung up without a word
  kSilent,      // nothing in time
  kTls,         // no TLS there, or a certificate that is not trusted
  kOther,
};

struct FetchOutcome {
  std::optional<Fetched> answer;
  NoAnswer why = NoAnswer::kOther;  // when there is no answer
  std::string message;              // the same for people, without the URL
};

// Redirects are not followed: what answers is what was asked. Thread-safe.
FetchOutcome fetch(const Fetch& request);

}  // namespace ca4::http
