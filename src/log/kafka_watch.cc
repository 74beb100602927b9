#include "log/kafka_watch.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "log/kafka_admin.h"
#include "log/kafka_error.h"

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

Status state_of(const rd_kafka_metadata_topic_t& topic) {
  if (topic.err == RD_KAFKA_RESP_ERR_NO_ERROR) return Status::ok();
  return kafka_status(topic.err, topic.topic);
}

}  // namespace

KafkaWatch::KafkaWatch(OwnedClient client, std::string topic, bool tells_outages)
    : client_(std::move(client)), topic_(std::move(topic)), tells_outages_(tells_outages) {
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
  if (!well_) set(Status::ok(), true);
}

void KafkaWatch::watch() {
  steady_clock::time_point next;
  while (!stopped_) {
    const steady_clock::time_point heard_at{steady_clock::duration(heard_at_.load())};
    if (std::max(next, heard_at + kAskEvery) <= steady_clock::now()) {
      const Result<Metadata> answer = topic_metadata(*client_, topic_, Deadline(kAnswerMs));
      set(answer ? state_of((*answer)->topics[0]) : answer.status(), answer.is_ok());
      next = steady_clock::now() + (well_ ? kAskEvery : kAskAgain);
    }
    rd_kafka_poll(client_->handle(), kPollMs);
  }
}

void KafkaWatch::set(const Status& status, bool answered) {
  const std::lock_guard lock(mutex_);
  if (status.is_ok() && told_) spdlog::info("kafka topic {}: back again", topic_);
  if (status.is_ok()) told_ = false;
  if (!status.is_ok() && !told_ && (answered || tells_outages_)) {
    spdlog::warn("{}", status.message());
    told_ = true;
  }
  status_ = status;
  asked_ = true;
  well_ = status.is_ok();
}

void KafkaWatch::stop() {
  stopped_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace ca4::log
