#include "log/kafka_watch.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "log/kafka_admin.h"

namespace ca4::log {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kPollMs = 100;  // how late a stop may be seen
// A small request; a probe of /readyz every few seconds gets an answer that is about as old.
constexpr auto kAskEvery = milliseconds(3'000);
// While they are away, so that whoever waits for them need not wait long.
constexpr auto kAskAgain = milliseconds(500);
constexpr int64_t kAnswerMs = 2'000;

}  // namespace

KafkaWatch::KafkaWatch(OwnedClient client, std::string topic)
    : client_(std::move(client)), topic_(std::move(topic)) {
  thread_ = std::thread([this] { watch(); });
}

KafkaWatch::~KafkaWatch() {
  stop();
}

Status KafkaWatch::ready() const {
  const std::lock_guard lock(mutex_);
  if (asked_) return status_;
  return {Code::kUnavailable, "kafka: the brokers have not answered yet"};
}

Status KafkaWatch::away() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void KafkaWatch::heard() {
  heard_at_ = steady_clock::now().time_since_epoch().count();
  if (!well_) set(Status::ok());
}

void KafkaWatch::watch() {
  steady_clock::time_point next;
  while (!stopped_) {
    const steady_clock::time_point heard_at{steady_clock::duration(heard_at_.load())};
    if (std::max(next, heard_at + kAskEvery) <= steady_clock::now()) {
      set(partitions_of(*client_, topic_, Deadline(kAnswerMs)).status());
      next = steady_clock::now() + (well_ ? kAskEvery : kAskAgain);
    }
    rd_kafka_poll(client_->handle(), kPollMs);
  }
}

void KafkaWatch::set(const Status& status) {
  const std::lock_guard lock(mutex_);
  if (status.is_ok() && !status_.is_ok()) spdlog::info("kafka topic {}: back again", topic_);
  if (!status.is_ok() && status_.is_ok()) spdlog::warn("{}", status.message());
  status_ = status;
  asked_ = true;
  well_ = status.is_ok();
}

void KafkaWatch::stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace ca4::log
