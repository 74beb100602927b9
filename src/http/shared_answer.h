// An answer that is the same for all who ask, and takes time to make.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "http/server.h"

namespace ca4::http {

// Made in a thread of its own, one at a time, each for all who asked before it was begun: however
// many ask, and whatever it waits for, no event loop waits and it costs no more than for one who
// asks again and again.
class SharedAnswer {
 public:
  // `make` is called from that thread, at most once in `pause`.
  explicit SharedAnswer(std::function<Response()> make,
                        std::chrono::milliseconds pause = std::chrono::milliseconds(50));
  // Waits for the one that is being made; who still waits for the next gets no answer.
  ~SharedAnswer();
  SharedAnswer(const SharedAnswer&) = delete;
  SharedAnswer& operator=(const SharedAnswer&) = delete;

  // While a thousand wait its answer is 503. Must not be called once this object is gone.
  Handler handler();

 private:
  void work();

  const std::function<Response()> make_;
  const std::chrono::milliseconds pause_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Respond> waiting_;  // guarded by mutex_
  bool stopping_ = false;         // guarded by mutex_
  std::thread thread_;            // last: it uses the others
};

}  // namespace ca4::http
