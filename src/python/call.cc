#include "python/call.h"

#include <nanobind/nanobind.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

namespace nb = nanobind;

namespace ca4::python {
namespace {

using Steady = std::chrono::steady_clock;

constexpr auto kTick = std::chrono::milliseconds(100);
// Long enough for what is in flight to a processor that answers, short enough for a person.
constexpr auto kStopGrace = std::chrono::seconds(2);

class Done {
 public:
  void set() {
    const std::scoped_lock lock(mutex_);
    done_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kTick, [this] { return done_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
};

}  // namespace

void run_watched(const std::function<void()>& work, const std::function<void()>& tick, Ends& ends) {
  Done done;
  std::exception_ptr thrown;
  std::optional<Steady::time_point> stopped_at;
  std::thread thread([&] {
    work();
    done.set();
  });
  for (bool ended = false; !ended;) {
    {
      const nb::gil_scoped_release unlocked;
      ended = done.wait();
    }
    try {
      if (PyErr_CheckSignals() != 0) nb::raise_python_error();
      if (!thrown) tick();
    } catch (...) {
      if (thrown) ends.abandon.request_stop();
      if (!thrown) thrown = std::current_exception();
      if (!stopped_at) stopped_at = Steady::now();
      ends.stop.request_stop();
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
