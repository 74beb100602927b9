#include "http/loop.h"

#include <boost/asio/post.hpp>
#include <chrono>

namespace ca4::http {
namespace {

// Deadlines are at least 100 ms; a tenth of a second late is nothing, and ten wake-ups cost
// nothing.
constexpr std::chrono::milliseconds kTick{100};
// More than a group commit of a busy day answers at once; memory for more is given back.
constexpr size_t kCompletionsKept = 256;
// So long a connection may wait for a request before it makes room for another: several round trips
// of a bad link, and most pauses of a client that is at work.
constexpr int64_t kWaitsMsMin = 5'000;

}  // namespace

int64_t steady_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

Loop::Loop(std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)), work_(context_.get_executor()), timer_(context_) {}

void Loop::run() {
  tick();
  context_.run();
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  // What was posted as the loop ended would otherwise keep it alive for ever.
  context_.restart();
  context_.poll();
}

void Loop::add(Connection* connection) {
  connections_.insert(connection);
  shared_->connections.fetch_add(1, std::memory_order_relaxed);
}

void Loop::remove(Connection* connection) {
  if (connections_.erase(connection) == 0) return;
  shared_->connections.fetch_sub(1, std::memory_order_relaxed);
  if (released_ && connections_.empty()) timer_.cancel();
}

bool Loop::end_one_that_waits() {
  const int64_t now_ms = steady_ms();
  if (now_ms < none_waits_until_ms_) return false;
  Connection* longest = nullptr;
  int64_t since_ms = now_ms;
  for (Connection* connection : connections_) {
    const int64_t waits_since_ms = connection->waits_since_ms();
    if (waits_since_ms >= since_ms) continue;
    longest = connection;
    since_ms = waits_since_ms;
  }
  // A flood must not make us look through all of them for each.
  none_waits_until_ms_ = since_ms + kWaitsMsMin;
  if (longest == nullptr || now_ms < none_waits_until_ms_) return false;
  longest->abort();
  return true;
}

void Loop::complete(std::shared_ptr<Connection> connection, uint64_t slot,
                    std::optional<Response> response) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    completions_.push_back({std::move(connection), slot, std::move(response)});
    if (completions_.size() > 1) return;  // a wake-up is on its way
  }
  net::post(context_, [this, self = shared_from_this()] { take_completions(); });
}

void Loop::take_completions() {
  {
    const std::lock_guard lock(mutex_);
    taken_.swap(completions_);
  }
  for (Completion& completion : taken_) {
    if (completion.response) {
      completion.connection->answer(completion.slot, std::move(*completion.response));
    } else {
      completion.connection->abort();
    }
  }
  taken_.clear();
  if (taken_.capacity() > kCompletionsKept) taken_.shrink_to_fit();
}

void Loop::tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([this](const boost::system::error_code&) {
    const int64_t now = steady_ms();
    // A copy: a deadline may end its connection, which leaves the set.
    const std::vector<Connection*> all(connections_.begin(), connections_.end());
    for (Connection* connection : all) {
      if (connections_.contains(connection)) connection->check_deadlines(now);
    }
    if (!released_ || !connections_.empty()) tick();
  });
}

void Loop::finish_all() {
  net::post(context_, [this, self = shared_from_this()] {
    const std::vector<Connection*> all(connections_.begin(), connections_.end());
    for (Connection* connection : all) {
      if (connections_.contains(connection)) connection->finish();
    }
  });
}

void Loop::abort_all() {
  net::post(context_, [this, self = shared_from_this()] {
    const std::vector<Connection*> all(connections_.begin(), connections_.end());
    for (Connection* connection : all) {
      if (connections_.contains(connection)) connection->abort();
    }
  });
}

void Loop::release() {
  net::post(context_, [this, self = shared_from_this()] {
    released_ = true;
    work_.reset();
    if (connections_.empty()) timer_.cancel();
  });
}

}  // namespace ca4::http
