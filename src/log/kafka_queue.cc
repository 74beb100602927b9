#include "log/kafka_queue.h"

#include <utility>

namespace ca4::log {
namespace {

constexpr int64_t kUsPerMs = 1'000;
// The year 10000. Others' nanoseconds would not fit 64 bits of microseconds.
constexpr int64_t kTimeMsMax = 253'402'300'800'000;

std::string text_of(const void* bytes, size_t size) {
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), size);
}

Headers headers_of(const rd_kafka_message_t& message) {
  Headers headers;
  rd_kafka_headers_t* all = nullptr;
  if (rd_kafka_message_headers(&message, &all) != RD_KAFKA_RESP_ERR_NO_ERROR) return headers;
  headers.reserve(rd_kafka_header_cnt(all));
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  for (size_t i = 0;
       rd_kafka_header_get_all(all, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; ++i) {
    headers.emplace_back(name, text_of(value, size));
  }
  return headers;
}

}  // namespace

Record to_record(const rd_kafka_message_t& message) {
  const int64_t appended_at_ms = rd_kafka_message_timestamp(&message, nullptr);
  const bool known = appended_at_ms >= 0 && appended_at_ms <= kTimeMsMax;
  return {{message.partition, message.offset},
          known ? appended_at_ms * kUsPerMs : 0,
          text_of(message.key, message.key_len),
          text_of(message.payload, message.len),
          headers_of(message)};
}

KafkaQueue::KafkaQueue(rd_kafka_t* handle) : queue_(rd_kafka_queue_new(handle)) {
  rd_kafka_queue_cb_event_enable(
      queue_.get(), [](rd_kafka_t*, void* queue) { static_cast<KafkaQueue*>(queue)->wake(); },
      this);
}

KafkaQueue::~KafkaQueue() {
  rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
}

Message KafkaQueue::next() {
  if (held_) return std::move(held_);
  return Message(rd_kafka_consume_queue(queue_.get(), 0));
}

void KafkaQueue::take(const PollLimits& limits, std::vector<Record>& records, const Accept& accept,
                      const Refuse& refuse) {
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;  // before looking: what comes while we look wakes again
  }
  size_t bytes = 0;
  while (records.size() < limits.records_max) {
    Message message = next();
    if (!message) return;
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      refuse(*message);
      continue;
    }
    bytes += message->key_len + message->len;
    if (!records.empty() && bytes > limits.bytes_max) {
      held_ = std::move(message);
      return;
    }
    if (accept(*message)) records.push_back(to_record(*message));
  }
}

bool KafkaQueue::wait_until(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline, [this] { return woken_; });
}

void KafkaQueue::wake() {
  {
    const std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

}  // namespace ca4::log
