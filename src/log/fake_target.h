// For tests: an event log that is away, slow, deaf or picky on demand. Over a real one, which it
// asks in order of arrival from a thread of its own, as a client of a broker does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "log/append_queue.h"
#include "log/event_log.h"

namespace ca4::log {

class FakeTarget final : public EventLog {
 public:
  enum class Fault {
    kNone,
    kAway,     // every append fails with kUnavailable
    kHangs,    // appends are neither written nor answered until this ends
    kAckLost,  // every append is written and then fails with kUnavailable
    kFull,     // every append fails with kOverloaded
  };

  explicit FakeTarget(std::unique_ptr<EventLog> inner);
  ~FakeTarget() override;

  void set(Fault fault);
  // Whether `ready` tells of a fault. A broker whose packets are dropped does not.
  void set_honest(bool honest) { honest_ = honest; }
  // How long each answer takes.
  void set_delay_us(int64_t delay_us) { delay_us_ = delay_us; }
  // Batches with such a record are refused with kTooLarge.
  void refuse(std::function<bool(const NewRecord&)> refused);

  // Appends that came in, over all, and records of the largest.
  size_t appends() const { return appends_; }
  size_t largest_append() const { return largest_; }
  // How often a value was written without an acknowledgement, or with one so late that nobody may
  // have waited for it.
  int lost_acks(const std::string& value) const;

  void append(std::vector<NewRecord> batch, AppendDone done) override;
  // Knows what `refuse` told it.
  Status admits(const NewRecord& record) const override;
  Result<std::unique_ptr<Consumer>> consumer(const std::string& group) override;
  Result<std::unique_ptr<Consumer>> scan(From from) override;
  Result<std::vector<Record>> newest() override;
  Result<std::vector<PartitionLag>> lag(const std::string& group) override;
  Status ready() override;
  size_t queue_depth() const override;
  // What hangs fails.
  void close() override;
  const std::string& topic() const override { return inner_->topic(); }

  EventLog& inner() { return *inner_; }

 private:
  struct Queued {
    PendingAppend append;
    bool late = false;
  };

  void run();
  void answer(Queued queued, Fault fault, bool refused);
  Status reachable() const;

  const std::unique_ptr<EventLog> inner_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Queued> queue_;
  Fault fault_ = Fault::kNone;
  std::function<bool(const NewRecord&)> refused_;
  std::map<std::string, int> lost_acks_;
  bool closing_ = false;
  std::atomic<bool> honest_ = true;
  std::atomic<int64_t> delay_us_ = 0;
  std::atomic<size_t> appends_ = 0;
  std::atomic<size_t> largest_ = 0;
  std::thread thread_;
};

}  // namespace ca4::log
