#include "cli/dlq_resend.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <random>
#include <thread>

#include "producer/reply.h"
#include "producer/retry.h"

namespace ca4::cli {

namespace {

// Outlives a restart of the processor; what takes longer is for a person to look at.
constexpr int64_t kRetryBudgetMs = 30'000;

int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Of an answer that is not about this letter, such as a missing token or a wrong path: the others
// would get the same one.
bool concerns_all(int http_status) {
  return http_status < 400 || http_status == 401 || http_status == 403 || http_status == 404 ||
         http_status == 405;
}

Status post(producer::Transport& transport, const std::string& body) {
  producer::RetryPolicy policy({.budget_ms = kRetryBudgetMs}, std::random_device{}());
  while (true) {
    const Result<producer::Reply> reply = transport.post("/metadata", "application/json", body);
    Status status = reply ? producer::judge_reply(*reply) : reply.status();
    // A page that wants a log-in has a 200, too.
    if (status.is_ok()) status = producer::judge_event(reply->body);
    if (status.is_ok()) return status;
    if (reply && concerns_all(reply->status)) return {Code::kUnavailable, status.message()};
    if (status.code() != Code::kUnavailable) return status;
    const std::optional<int64_t> pause_ms =
        policy.next_pause_ms(steady_ms(), reply ? reply->retry_after_ms : std::nullopt);
    if (!pause_ms) return status;
    std::this_thread::sleep_for(std::chrono::milliseconds(*pause_ms));
  }
}

}  // namespace

worker::Resend into_log(log::EventLog& source) {
  return [&source](const worker::DeadLetter& letter) {
    return log::append_and_wait(source, {worker::make_replayed(letter)}).status();
  };
}

worker::Resend through_processor(const producer::HttpOptions& processor) {
  std::shared_ptr<producer::Transport> transport = producer::make_http_transport(processor);
  return [transport](const worker::DeadLetter& letter) {
    const Result<std::string> body = worker::to_request_json(letter);
    return body ? post(*transport, *body) : body.status();
  };
}

}  // namespace ca4::cli
