// Errors as RFC 9457 problem details.
#pragma once

#include <string>
#include <string_view>

#include "http/server.h"

namespace ca4::http {

// The reason phrase of RFC 9110, e.g. "Unprocessable Content"; "Error" for a status without one.
std::string_view reason_phrase(int status);

// `text` as a JSON string, with its quotes. Bytes that are not UTF-8 become U+FFFD.
std::string json_string(std::string_view text);

// The members of a problem as a JSON object: status, title, detail; `field` where one is to blame.
std::string problem_json(int status, std::string_view detail, std::string_view field = {});

// An answer with that body, as application/problem+json.
Response problem(int status, std::string_view detail, std::string_view field = {});

// The same with Retry-After, for 429 and 503.
Response problem_retry(int status, std::string_view detail, int retry_after_s);

}  // namespace ca4::http
