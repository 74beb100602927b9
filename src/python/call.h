// Long work out of a Python call: without the interpreter's lock, watched, and ended by Ctrl-C.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>

namespace ca4::python {

// Two requests of a person who wants the end: soon, and at once.
struct Ends {
  std::stop_source stop;
  std::stop_source abandon;
};

// The thread that called from Python, as the work's own threads see it: what they want of the
// caller's iterator is done there, where its files and databases were opened, and where Ctrl-C
// reaches it.
class Caller {
 public:
  // Has the calling thread do `errand`, with the interpreter's lock, and waits for that. False, and
  // it is not done, once the end was asked for. One thread at a time; must not hold the lock.
  bool ask(const std::function<void()>& errand);

  // --- For run_watched ---

  enum class Wish { kNothing, kErrand, kEnd };
  // What the work wants next; kNothing after a tenth of a second. Must not hold the lock.
  Wish wait();
  // Does what was asked for; throws what it throws.
  void run_errand();
  // No more errands.
  void close();
  // The work is done.
  void end();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* errand_ = nullptr;
  bool closed_ = false;
  bool ended_ = false;
};

// Runs `work` in a thread of its own while this one, which must hold the lock and is Python's main
// thread or not, gives the lock up and takes it for the work's errands, and 10 times a second to
// call `tick` and to look for signals. What `tick`, an errand or a signal's handler throws
// (KeyboardInterrupt) requests `stop` and, when that does not end the work in time or it comes
// again, `abandon`; it is thrown on once the work has ended.
void run_watched(const std::function<void()>& work, const std::function<void()>& tick, Ends& ends,
                 Caller& caller);

}  // namespace ca4::python
