#include "http/job_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "http/problem.h"

namespace ca4::http {
namespace {

// A short queue is through its jobs in about that time.
constexpr int kRetryAfterS = 1;
// Event loops, which have many clients waiting, go first where cores are few.
constexpr int kNicer = 5;

}  // namespace

JobPool::JobPool(size_t threads, size_t queue_max) : queue_max_(queue_max) {
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

JobPool::~JobPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool JobPool::try_run(std::function<void()> job) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(job));
  }
  wake_.notify_one();
  return true;
}

void JobPool::work() {
  const auto thread = static_cast<id_t>(gettid());
  (void)setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + kNicer);
  for (;;) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (stopping_) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

Handler pooled(JobPool& pool, std::string busy, std::function<Response(const Request&)> answer) {
  return [&pool, busy = std::move(busy), answer = std::move(answer)](Request request,
                                                                     const Respond& respond) {
    // std::function wants what it holds to be copyable.
    auto shared = std::make_shared<Request>(std::move(request));
    if (!pool.try_run([shared, respond, answer] { respond(answer(*shared)); })) {
      respond(problem_retry(503, busy, kRetryAfterS));
    }
  };
}

}  // namespace ca4::http
