// One connection: reads requests ahead of their answers, gives answers in the order of requests,
// and keeps every limit of ServerOptions. Internal to http/; everything on its loop's thread.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "http/loop.h"
#include "http/pace.h"
#include "http/request_head.h"

namespace ca4::http {

using PlainStream = Socket;
using TlsStream = net::ssl::stream<Socket>;

template <class Stream>
class StreamConnection final : public Connection,
                               public std::enable_shared_from_this<StreamConnection<Stream>> {
 public:
  StreamConnection(std::shared_ptr<Loop> loop, Stream stream);
  ~StreamConnection() override = default;

  // Call once. With TLS the handshake comes first.
  void start();
  // Call instead of `start` where there are too many connections: says so (not with TLS), and
  // closes.
  void turn_away();

  void answer(uint64_t slot, Response response) override;
  void abort() override;
  void finish() override;
  void check_deadlines(int64_t now_ms) override;
  int64_t waits_since_ms() const override;

 private:
  enum class Phase { kHead, kBody, kChunked };
  struct Slot {
    std::optional<Response> response;
    bool head_only = false;
    bool keep_alive = true;
    bool interim = false;  // "100 Continue": nothing else
    bool reads = false;    // a GET or HEAD, whose answer may be large
  };
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  void register_here();
  void refuse_plain_text();
  void pump();
  bool step();
  bool step_head();
  bool step_body();
  bool step_chunked();
  void begin_body();
  net::mutable_buffer body_room();
  bool take_body();
  void read();
  void on_read(const boost::system::error_code& error, size_t bytes);
  void await_head();
  void await_body();
  void grow_body(size_t want);
  bool count_body(size_t more);
  bool received(size_t bytes);
  void release_body();
  void dispatch();
  void refuse(int status, std::string_view detail);
  void refuse(Response&& response);
  bool refused_early();
  bool asks_for_head() const;
  bool reads_ahead() const;
  void write_ready();
  void wrote(size_t bytes);
  void count_answers();
  void on_written(const boost::system::error_code& error);
  void close_when_done();
  void linger();
  void drain();
  void close();
  bool idle() const;
  Socket& socket();

  const std::shared_ptr<Loop> loop_;
  Stream stream_;
  std::string peer_;
  boost::beast::flat_buffer in_;
  size_t scanned_ = 0;  // bytes of in_ that hold no end of a head
  Phase phase_ = Phase::kHead;
  Head head_;
  std::unique_ptr<ChunkedBody> chunked_;
  size_t body_received_ = 0;
  size_t counted_bytes_ = 0;  // of the body being read, in Shared::bodies_bytes
  Pace body_pace_;
  Pace body_pace_hurried_;
  bool reading_ = false;
  bool pumping_ = false;
  bool read_ended_ = false;
  bool finishing_ = false;
  bool writing_ = false;
  bool close_after_write_ = false;
  bool unread_input_ = false;  // a refused request's rest may still be on its way
  bool draining_ = false;
  bool closed_ = false;
  std::deque<Slot> slots_;
  uint64_t first_slot_ = 0;
  std::string out_;
  size_t unread_answers_bytes_ = 0;   // bodies in slots_, and in out_ until it is written
  size_t counted_answers_bytes_ = 0;  // of them, in Shared::answers_bytes
  Pace write_pace_;
  Pace write_pace_hurried_;
  int64_t waits_since_ms_ = 0;
  int64_t read_deadline_ms_ = kNever;
  int64_t hurried_read_deadline_ms_ = kNever;  // where bodies are many, or the server stops
  int64_t write_deadline_ms_ = kNever;
  int64_t hurried_write_deadline_ms_ = kNever;  // where many are not read
};

extern template class StreamConnection<PlainStream>;
extern template class StreamConnection<TlsStream>;

}  // namespace ca4::http
