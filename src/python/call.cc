#include "python/call.h"

#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

namespace nb = nanobind;

namespace ca4::python {
namespace {

using Steady = std::chrono::steady_clock;

constexpr auto kTick = std::chrono::milliseconds(100);
// Long enough for what is in flight to a processor that answers, short enough for a person.
constexpr auto kStopGrace = std::chrono::seconds(2);

}  // namespace

bool Caller::ask(const std::function<void()>& errand) {
  std::unique_lock lock(mutex_);
  if (closed_) return false;
  errand_ = &errand;
  changed_.notify_all();
  changed_.wait(lock, [this] { return errand_ == nullptr || closed_; });
  return std::exchange(errand_, nullptr) == nullptr;
}

Caller::Wish Caller::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kTick, [this] { return ended_ || (errand_ != nullptr && !closed_); });
  if (ended_) return Wish::kEnd;
  return errand_ != nullptr && !closed_ ? Wish::kErrand : Wish::kNothing;
}

void Caller::run_errand() {
  struct Finish {
    ~Finish() {
      const std::scoped_lock lock(caller.mutex_);
      caller.errand_ = nullptr;
      caller.changed_.notify_all();
    }
    Caller& caller;
  };
  // Only this thread closes: who asked waits until it is finished.
  const Finish finish{*this};
  (*errand_)();
}

void Caller::close() {
  const std::scoped_lock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Caller::end() {
  const std::scoped_lock lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void run_watched(const std::function<void()>& work, const std::function<void()>& tick, Ends& ends,
                 Caller& caller) {
  std::exception_ptr thrown;
  std::optional<Steady::time_point> stopped_at;
  Steady::time_point ticked_at = Steady::now();
  std::thread thread([&] {
    work();
    caller.end();
  });
  for (Caller::Wish wish = Caller::Wish::kNothing; wish != Caller::Wish::kEnd;) {
    {
      const nb::gil_scoped_release unlocked;
      wish = caller.wait();
    }
    try {
      if (wish == Caller::Wish::kErrand) caller.run_errand();
      if (PyErr_CheckSignals() != 0) nb::raise_python_error();
      const bool due = wish == Caller::Wish::kEnd || Steady::now() - ticked_at >= kTick;
      if (due && !thrown) tick();
      if (due) ticked_at = Steady::now();
    } catch (...) {
      if (thrown) ends.abandon.request_stop();
      if (!thrown) thrown = std::current_exception();
      if (!stopped_at) stopped_at = Steady::now();
      ends.stop.request_stop();
      caller.close();
    }
    if (stopped_at && Steady::now() - *stopped_at > kStopGrace) ends.abandon.request_stop();
  }
  {
    // The thread may still need the lock to let go of Python's objects.
    const nb::gil_scoped_release unlocked;
    thread.join();
  }
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace ca4::python
