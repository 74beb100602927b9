// The lines that say who was refused, and why.
#pragma once

#include <string>
#include <string_view>

#include "base/log_limiter.h"
#include "http/server.h"

namespace ca4::http {

// Each line begins with "audit:" and has what was asked, from where, the status and the reason,
// never a token; whoever answers requests sees to the request_id behind it (ops::LogContext).
// Thread-safe.
class Audit {
 public:
  void refused(const Request& request, int status, std::string_view why);

  // For what a client may do without end: of each `kind`, of which there are few, one line in half
  // a minute, with how many it stands for.
  void refused_often(const Request& request, int status, const std::string& kind,
                     std::string_view why);

 private:
  LogLimiter limiter_;
};

}  // namespace ca4::http
