// The lines that say who was refused, and why.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "base/log_limiter.h"
#include "http/allowance.h"
#include "http/server.h"

namespace ca4::http {

// Each line begins with "audit:" and has what was asked, from where, the status and the reason,
// never a token; whoever answers requests sees to the request_id behind it (ops::LogContext).
// Thread-safe.
class Audit {
 public:
  Audit();

  void refused(const Request& request, int status, std::string_view why);

  // For what each address may do now and then, of which there may be thousands: so many lines a
  // second, the next with how many more there were.
  void refused_by_many(const Request& request, int status, std::string_view why);

  // For what a client may do without end: of each `kind`, of which there are few, one line in half
  // a minute, with how many it stands for.
  void refused_often(const Request& request, int status, const std::string& kind,
                     std::string_view why);

 private:
  LogLimiter limiter_;
  std::mutex mutex_;
  Allowance lines_;       // of refused_by_many; guarded by mutex_
  size_t kept_back_ = 0;  // guarded by mutex_
};

}  // namespace ca4::http
