// Long work out of a Python call: without the interpreter's lock, watched, and ended by Ctrl-C.
#pragma once

#include <functional>
#include <stop_token>

namespace ca4::python {

// Two requests of a person who wants the end: soon, and at once.
struct Ends {
  std::stop_source stop;
  std::stop_source abandon;
};

// Runs `work` in a thread of its own while this one, which must hold the lock and is Python's main
// thread or not, gives the lock up and takes it 10 times a second to call `tick` and to look for
// signals. What `tick` or a signal's handler throws (KeyboardInterrupt) requests `stop` and, when
// that does not end the work in time or it comes again, `abandon`; it is thrown on once the work
// has ended.
void run_watched(const std::function<void()>& work, const std::function<void()>& tick, Ends& ends);

}  // namespace ca4::python
