#include "ops/log_context.h"

namespace ca4::ops {
namespace {

thread_local const LogContext* innermost = nullptr;

}  // namespace

LogContext::LogContext(std::string_view request_id, std::string_view trace_id)
    : request_id_(request_id), trace_id_(trace_id), outer_(innermost) {
  innermost = this;
}

LogContext::~LogContext() {
  innermost = outer_;
}

const LogContext* LogContext::current() {
  return innermost;
}

}  // namespace ca4::ops
