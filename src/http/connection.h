// One connection: reads requests ahead of their answers, gives answers in the order of requests,
// and keeps every limit of ServerOptions. Internal to http/; everything on its loop's thread.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <limits>
#include <string>
#include <string_view>

#include "http/answers.h"
#include "http/incoming_body.h"
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
  enum class Phase { kHead, kBody };
  static constexpr bool kTls = std::is_same_v<Stream, TlsStream>;
  static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

  void register_here();
  void refuse_plain_text();
  void pump();
  bool step();
  bool step_head();
  bool step_body();
  void begin_body();
  bool take_body();
  void read();
  void on_read(const boost::system::error_code& error, size_t bytes);
  void await_head();
  void dispatch();
  void refuse(int status, std::string_view detail);
  void refuse(Response&& response);
  bool refused_early();
  bool asks_for_head() const;
  void write_ready();
  void wrote(size_t bytes);
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
  IncomingBody body_;
  Answers answers_;
  bool reading_ = false;
  bool pumping_ = false;
  bool read_ended_ = false;
  bool finishing_ = false;
  bool writing_ = false;
  bool close_after_write_ = false;
  bool unread_input_ = false;  // a refused request's rest may still be on its way
  bool draining_ = false;
  bool closed_ = false;
  std::string out_;
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
