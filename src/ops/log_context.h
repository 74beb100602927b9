// What the lines of the program's messages are about, beside what they say.
#pragma once

#include <string_view>

namespace ca4::ops {

// As long as it lives, each line that this thread logs has these fields: request_id, and trace_id
// where there is a trace. Contexts nest; the innermost holds. Must end in the thread that made it.
class LogContext {
 public:
  // The texts must outlive it; an empty one is no field.
  LogContext(std::string_view request_id, std::string_view trace_id);
  ~LogContext();
  LogContext(const LogContext&) = delete;
  LogContext& operator=(const LogContext&) = delete;

  // Of this thread; null without one.
  static const LogContext* current();

  std::string_view request_id() const { return request_id_; }
  std::string_view trace_id() const { return trace_id_; }

 private:
  const std::string_view request_id_;
  const std::string_view trace_id_;
  const LogContext* const outer_;
};

}  // namespace ca4::ops
