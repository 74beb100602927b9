#include "http/shared_answer.h"

#include <utility>

#include "http/problem.h"

namespace ca4::http {
namespace {

// Each gets a copy at the same moment: of an answer of 40 kB that is 40 MB.
constexpr size_t kWaitingMax = 1000;
constexpr int kRetryAfterS = 1;

}  // namespace

SharedAnswer::SharedAnswer(std::function<Response()> make, std::chrono::milliseconds pause)
    : make_(std::move(make)), pause_(pause), thread_([this] { work(); }) {}

SharedAnswer::~SharedAnswer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Handler SharedAnswer::handler() {
  return [this](const Request&, Respond respond) {
    {
      const std::lock_guard lock(mutex_);
      if (waiting_.size() < kWaitingMax) {
        waiting_.push_back(std::move(respond));
        respond = nullptr;
      }
    }
    if (respond) return respond(problem_retry(503, "too many wait for this answer", kRetryAfterS));
    wake_.notify_one();
  };
}

void SharedAnswer::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    const std::vector<Respond> asked = std::exchange(waiting_, {});
    lock.unlock();
    const Response answer = make_();
    for (const Respond& respond : asked) respond(answer);
    lock.lock();
    wake_.wait_for(lock, pause_, [this] { return stopping_; });
  }
}

}  // namespace ca4::http
