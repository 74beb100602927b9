// One thread of the server: its event loop, the connections that live on it, and the way answers
// come back to it from other threads. Internal to http/.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <vector>

#include "http/server.h"

namespace ca4::http {

namespace net = boost::asio;
// The loop's own executor type, not the type-erased default: one indirection less an operation.
using Socket = net::basic_stream_socket<net::ip::tcp, net::io_context::executor_type>;
using Timer = net::basic_waitable_timer<std::chrono::steady_clock,
                                        net::wait_traits<std::chrono::steady_clock>,
                                        net::io_context::executor_type>;

// Monotonic milliseconds, for deadlines.
int64_t steady_ms();

// What a loop knows of a connection. All of it on the loop's thread.
class Connection {
 public:
  virtual ~Connection() = default;
  // The answer to request `slot` of this connection.
  virtual void answer(uint64_t slot, Response response) = 0;
  // Nobody will answer: nothing was promised, the connection ends.
  virtual void abort() = 0;
  // No further request after the one being read; ends when the last answer is out.
  virtual void finish() = 0;
  // Called about ten times a second.
  virtual void check_deadlines(int64_t now_ms) = 0;
  // Since when it has been waiting for a request: for a handshake, the first byte or the end of a
  // head; the largest number when it does something else.
  virtual int64_t waits_since_ms() const = 0;
};

// Counts shared by all loops of a server.
struct Shared {
  ServerOptions options;
  Handler handler;
  std::atomic<size_t> connections{0};
  std::atomic<size_t> bodies_bytes{0};
  std::atomic<size_t> answers_bytes{0};  // of connections with many that are not read
  std::atomic<uint64_t> next_request_id{1};
  std::atomic<bool> stopping{false};  // connections accepted from now on are dropped
};

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  explicit Loop(std::shared_ptr<Shared> shared);

  // Runs until `release` was called and every connection is gone.
  void run();

  net::io_context& context() { return context_; }
  Shared& shared() { return *shared_; }

  // Loop thread only.
  void add(Connection* connection);
  void remove(Connection* connection);
  // Ends the connection that has been waiting for a request the longest, if that is some seconds;
  // false when none has.
  bool end_one_that_waits();

  // An answer from any thread; none: `Connection::abort`. Wakes the loop once for all that come
  // together.
  void complete(std::shared_ptr<Connection> connection, uint64_t slot,
                std::optional<Response> response);
  bool on_this_thread() { return context_.get_executor().running_in_this_thread(); }

  // From any thread.
  void finish_all();
  void abort_all();
  void release();

 private:
  struct Completion {
    std::shared_ptr<Connection> connection;
    uint64_t slot = 0;
    std::optional<Response> response;
  };
  void take_completions();
  void tick();

  const std::shared_ptr<Shared> shared_;
  net::io_context context_{1};
  net::executor_work_guard<net::io_context::executor_type> work_;
  Timer timer_;
  std::unordered_set<Connection*> connections_;
  bool released_ = false;
  int64_t none_waits_until_ms_ = 0;  // long enough to be ended for another
  std::mutex mutex_;
  std::vector<Completion> completions_;  // guarded by mutex_
  bool ended_ = false;                   // guarded by mutex_
  std::vector<Completion> taken_;        // the loop's own; its memory goes to and fro
};

}  // namespace ca4::http
