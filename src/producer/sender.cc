#include "producer/sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "producer/progress.h"
#include "producer/reply.h"

namespace ca4::producer {
namespace {

int64_t steady_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string join_lines(const std::vector<Parcel>& batch) {
  std::string body;
  for (const Parcel& parcel : batch) body += parcel.payload + '\n';
  return body;
}

}  // namespace

Sender::Sender(Transport& transport, const SenderOptions& options, Settled settled,
               std::stop_token stop)
    : transport_(transport),
      options_(options),
      settled_(std::move(settled)),
      queue_(options.in_flight_max),
      on_stop_(std::move(stop), [this] { no_more_retries_.request_stop(); }),
      holdup_(options.retry.budget_ms) {
  for (size_t i = 0; i < options_.in_flight_max; ++i) threads_.emplace_back([this] { work(); });
}

Sender::~Sender() {
  static_cast<void>(finish());
}

bool Sender::submit(std::vector<Parcel> batch) {
  std::vector<Parcel> part;
  size_t bytes = 0;
  for (Parcel& parcel : batch) {
    const size_t more = parcel.payload.size() + 1;
    if (!part.empty() && (options_.one_by_one || bytes + more > options_.body_bytes_max)) {
      if (!queue_.push(std::exchange(part, {}))) return false;
      bytes = 0;
    }
    bytes += more;
    part.push_back(std::move(parcel));
  }
  return part.empty() || queue_.push(std::move(part));
}

Status Sender::finish() {
  queue_.close();
  threads_.clear();  // joins
  const std::scoped_lock lock(mutex_);
  return failure_;
}

void Sender::work() {
  while (true) {
    std::vector<std::vector<Parcel>> next = queue_.pop(1);
    if (next.empty()) return;
    if (Status failed = deliver(std::move(next.front())); !failed.is_ok()) fail(failed);
  }
}

Status Sender::deliver(std::vector<Parcel> batch) {
  const auto new_policy = [&] { return RetryPolicy(options_.retry, std::random_device{}()); };
  RetryPolicy policy = new_policy();
  while (!batch.empty()) {
    const size_t before = batch.size();
    const int64_t began_ms = steady_ms();
    std::optional<int64_t> retry_after_ms;
    const Status status = attempt(batch, retry_after_ms);
    if (batch.size() < before) note_passed();
    if (batch.empty()) return status;
    if (status.code() == Code::kTooLarge && batch.size() > 1) {
      const auto middle = batch.begin() + static_cast<std::ptrdiff_t>(batch.size() / 2);
      std::vector<Parcel> second(std::make_move_iterator(middle),
                                 std::make_move_iterator(batch.end()));
      batch.erase(middle, batch.end());
      if (Status failed = deliver(std::move(batch)); !failed.is_ok()) return failed;
      batch = std::move(second);
      policy = new_policy();
      continue;
    }
    if (status.code() != Code::kUnavailable) return status;
    // Something got through: the server is alive, so the budget begins anew.
    if (batch.size() < before) policy = new_policy();
    if (Status failed = pause_before_retry(policy, retry_after_ms, began_ms, status);
        !failed.is_ok()) {
      return failed;
    }
  }
  return Status::ok();
}

Status Sender::attempt(std::vector<Parcel>& batch, std::optional<int64_t>& retry_after_ms) {
  const Result<Reply> reply =
      options_.one_by_one
          ? transport_.post("/metadata", "application/json", batch.front().payload)
          : transport_.post("/metadata/batch", "application/x-ndjson", join_lines(batch));
  if (!reply) return reply.status();
  retry_after_ms = reply->retry_after_ms;
  const Status verdict = judge_reply(*reply);
  if (verdict.is_ok()) {
    return settle_each(batch, options_.one_by_one ? std::vector{judge_event(reply->body)}
                                                  : judge_lines(reply->body, batch.size()));
  }
  // One event alone is answered as a whole.
  const bool refused = reply->status == 400 || reply->status == 413 || reply->status == 422;
  if (batch.size() == 1 && refused) {
    Status failed = settled_(batch.front(), verdict);
    batch.clear();
    return failed;
  }
  return verdict;
}

Status Sender::settle_each(std::vector<Parcel>& batch, const std::vector<Status>& verdicts) {
  std::vector<Parcel> left;
  Status why;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (verdicts[i].code() == Code::kUnavailable) {
      why = verdicts[i];
      left.push_back(std::move(batch[i]));
    } else if (Status failed = settled_(batch[i], verdicts[i]); !failed.is_ok()) {
      return failed;
    }
  }
  batch = std::move(left);
  return why;
}

Status Sender::pause_before_retry(RetryPolicy& policy, std::optional<int64_t> retry_after_ms,
                                  int64_t began_ms, const Status& why) {
  const int64_t now_ms = steady_ms();
  const std::optional<int64_t> pause_ms = policy.next_pause_ms(now_ms, retry_after_ms);
  if (!pause_ms) return given_up(now_ms - policy.first_failure_ms(), retry_after_ms, why);
  std::unique_lock lock(mutex_);
  const std::string line = holdup_.failed(began_ms, now_ms, *pause_ms, why.message());
  if (options_.notify && !line.empty()) options_.notify(line);
  wake_.wait_for(lock, no_more_retries_.get_token(), std::chrono::milliseconds(*pause_ms),
                 [] { return false; });
  if (!no_more_retries_.stop_requested()) return Status::ok();
  return {Code::kCancelled,
          fmt::format("stopped while the processor did not take events: {}", why.message())};
}

Status Sender::given_up(int64_t tried_ms, std::optional<int64_t> retry_after_ms,
                        const Status& why) const {
  const int64_t budget_s = options_.retry.budget_ms / 1000;
  const auto text = [](int64_t ms) { return duration_text(static_cast<double>(ms) / 1000); };
  std::string how = fmt::format("gave up after {} of tries", text(tried_ms));
  if (budget_s == 0) {
    how = "gave up at once (retry_for_s is 0)";
  } else if (retry_after_ms && tried_ms + *retry_after_ms > options_.retry.budget_ms) {
    how += fmt::format(", as it asks to wait {} (Retry-After) and retry_for_s is {}",
                       text(*retry_after_ms), budget_s);
  }
  return {Code::kUnavailable, fmt::format("{}: {}", how, why.message())};
}

void Sender::note_passed() {
  const std::scoped_lock lock(mutex_);
  const std::string line = holdup_.passed(steady_ms());
  if (options_.notify && !line.empty()) options_.notify(line);
}

void Sender::fail(const Status& status) {
  {
    const std::scoped_lock lock(mutex_);
    if (failure_.is_ok()) failure_ = status;
  }
  no_more_retries_.request_stop();
  // A stop lets the rest have its one try; a failure would only be repeated by it.
  if (status.code() != Code::kCancelled) queue_.close(/*drop=*/true);
}

}  // namespace ca4::producer
