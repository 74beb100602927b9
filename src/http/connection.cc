#include "http/connection.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <utility>

#include "http/problem.h"

namespace ca4::http {
namespace {

// One read of a head; a request without a body or with a short one fits.
constexpr size_t kReadBytes = 4 << 10;
// One write of an answer; after it the client has so many bytes' time more.
constexpr size_t kWriteBytes = 64 << 10;
// As kHurriedMs, for what a client reads: the kernel tells of it when a third of its buffer is free
// again, for which who reads 20 kB/s takes that long.
constexpr int64_t kHurriedUnreadMs = 6'000;
// How long what a refused client still sends is read and dropped, so that it sees the answer before
// a reset.
constexpr int64_t kLingerMs = 2'000;
// How long a connection takes request after request before others of its loop have their turn:
// thousands of them, or large answers, would else keep those waiting for milliseconds. Longer than
// any single one, so that nobody else is put off.
constexpr auto kTurn = std::chrono::microseconds(500);
// How a client of TLS begins: the type of a record with a handshake (RFC 8446 section 5.1).
constexpr char kTlsHandshake = 0x16;

// A handler may give what is larger, or compressed, to another thread. A processor does from 1 MiB.
constexpr size_t kReadAtOnceBytesMax = 64 << 10;

// Whether nothing is begun behind the request before its answer is there. How large that of a GET
// becomes is not known before. And what another thread reads is overtaken by what comes behind it;
// only safe requests may be handled side by side (RFC 9112 section 9.3.2), and of two events of one
// id the one that was sent first would count.
bool goes_alone(const Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return true;
  return request.body_bytes > kReadAtOnceBytesMax || !request.header("Content-Encoding").empty();
}

// Answers one request exactly once; dropped before that, the connection ends. The request's body
// counts until then: the handler holds it, whether or not the client has hung up.
class Promise {
 public:
  Promise(std::shared_ptr<Loop> loop, std::shared_ptr<Connection> connection, uint64_t slot,
          size_t body_bytes)
      : loop_(std::move(loop)),
        connection_(std::move(connection)),
        slot_(slot),
        body_bytes_(body_bytes) {}
  Promise(const Promise&) = delete;
  Promise& operator=(const Promise&) = delete;
  ~Promise() {
    if (kept_.exchange(true)) return;
    loop_->shared().bodies_bytes.fetch_sub(body_bytes_);
    loop_->complete(std::move(connection_), slot_, std::nullopt);
  }
  void keep(Response response) {
    if (kept_.exchange(true)) return;
    loop_->shared().bodies_bytes.fetch_sub(body_bytes_);
    if (loop_->on_this_thread()) {
      connection_->answer(slot_, std::move(response));
    } else {
      loop_->complete(std::move(connection_), slot_, std::move(response));
    }
  }

 private:
  std::shared_ptr<Loop> loop_;
  std::shared_ptr<Connection> connection_;
  const uint64_t slot_;
  const size_t body_bytes_;  // counted in Shared::bodies_bytes
  std::atomic<bool> kept_{false};
};

std::string peer_text(const Socket& socket) {
  boost::system::error_code error;
  const auto peer = socket.remote_endpoint(error);
  if (error) return "gone";
  const std::string host = peer.address().to_string();
  return peer.address().is_v6() ? fmt::format("[{}]:{}", host, peer.port())
                                : fmt::format("{}:{}", host, peer.port());
}

// What OpenSSL says of a greeting that begins as a request of HTTP does.
bool is_plain_http(const boost::system::error_code& error) {
  return error.category() == net::error::get_ssl_category() &&
         ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST;
}

}  // namespace

template <class Stream>
StreamConnection<Stream>::StreamConnection(std::shared_ptr<Loop> loop, Stream stream)
    : loop_(std::move(loop)),
      stream_(std::move(stream)),
      in_(std::max(loop_->shared().options.header_bytes_max, IncomingBody::kChunkedReadBytes) +
          kReadBytes),
      body_(loop_->shared()),
      answers_(loop_->shared(), kTls),
      write_pace_(loop_->shared().options.idle_timeout_ms),
      write_pace_hurried_(kHurriedUnreadMs) {}

template <class Stream>
void StreamConnection<Stream>::register_here() {
  boost::system::error_code ignored;
  socket().set_option(net::ip::tcp::no_delay(true), ignored);
  socket().non_blocking(true, ignored);
  peer_ = peer_text(socket());
  loop_->add(this);
}

template <class Stream>
void StreamConnection<Stream>::start() {
  register_here();
  if constexpr (kTls) {
    waits_since_ms_ = steady_ms();
    read_deadline_ms_ = waits_since_ms_ + loop_->shared().options.header_timeout_ms;
    stream_.async_handshake(
        net::ssl::stream_base::server,
        [self = this->shared_from_this()](const boost::system::error_code& error) {
          if (is_plain_http(error)) return self->refuse_plain_text();
          if (error) return self->close();
          self->await_head();
          self->pump();
        });
  } else {
    await_head();
    pump();
  }
}

// In plain text too: who speaks it understands nothing else.
template <class Stream>
void StreamConnection<Stream>::refuse_plain_text() {
  if (closed_) return;
  if (const auto& refused = loop_->shared().options.refused) refused(400);
  read_ended_ = true;
  unread_input_ = true;
  read_deadline_ms_ = kNever;
  close_after_write_ = true;
  writing_ = true;
  write_deadline_ms_ = steady_ms() + kLingerMs;
  Answers plain(loop_->shared(), false);
  plain.refuse(problem(400, "this port speaks HTTPS: use https://"), false);
  plain.write(true, out_);
  net::async_write(socket(), net::buffer(out_),
                   [self = this->shared_from_this()](const boost::system::error_code& error,
                                                     size_t) { self->on_written(error); });
}

template <class Stream>
void StreamConnection<Stream>::turn_away() {
  register_here();
  if (const auto& refused = loop_->shared().options.refused) refused(503);
  // A handshake would cost more than what the limit is to save.
  if constexpr (kTls) return close();
  unread_input_ = true;
  read_ended_ = true;
  answers_.refuse(problem_retry(503, "too many connections", 1), false);
  write_ready();
}

template <class Stream>
Socket& StreamConnection<Stream>::socket() {
  if constexpr (kTls) {
    return stream_.next_layer();
  } else {
    return stream_;
  }
}

template <class Stream>
bool StreamConnection<Stream>::idle() const {
  return phase_ == Phase::kHead && in_.size() == 0;
}

// Takes all requests that are here, then waits for more bytes.
template <class Stream>
void StreamConnection<Stream>::pump() {
  if (pumping_) return;
  pumping_ = true;
  const auto turn_ends = std::chrono::steady_clock::now() + kTurn;
  bool tried = false;
  while (!closed_ && !reading_ && !read_ended_) {
    if (!idle() && std::chrono::steady_clock::now() >= turn_ends) {
      net::post(loop_->context(), [self = this->shared_from_this()] { self->pump(); });
      break;
    }
    if (finishing_ && idle()) {
      read_ended_ = true;
      break;
    }
    // Without a request to begin it is read on, to see a client hang up.
    const bool may = in_.size() == 0 ? answers_.may_owe_more() : answers_.may_begin_more();
    if (phase_ == Phase::kHead && !may) break;
    if (step()) continue;
    if (!tried && take_body()) {
      tried = true;  // once a turn: other connections want theirs
      continue;
    }
    read();
    break;
  }
  pumping_ = false;
  close_when_done();
}

// One step with what was read; false when it takes more bytes.
template <class Stream>
bool StreamConnection<Stream>::step() {
  return phase_ == Phase::kHead ? step_head() : step_body();
}

template <class Stream>
void StreamConnection<Stream>::await_head() {
  phase_ = Phase::kHead;
  head_ = Head{};
  scanned_ = 0;
  read_deadline_ms_ = kNever;
  hurried_read_deadline_ms_ = kNever;
  if (in_.size() == 0 && answers_.none()) {
    waits_since_ms_ = steady_ms();
    read_deadline_ms_ = waits_since_ms_ + loop_->shared().options.idle_timeout_ms;
  }
}

template <class Stream>
bool StreamConnection<Stream>::step_head() {
  const ServerOptions& options = loop_->shared().options;
  std::string_view text(static_cast<const char*>(in_.data().data()), in_.size());
  // RFC 9112 section 2.2: an empty line before a request is let pass.
  while (text.starts_with("\r\n")) {
    in_.consume(2);
    text.remove_prefix(2);
    scanned_ = 0;
  }
  if (text.empty()) return false;
  const size_t end = text.find("\r\n\r\n", scanned_);
  const size_t head_bytes = end == std::string_view::npos ? text.size() : end + 4;
  if (head_bytes > options.header_bytes_max) {
    refuse(431, fmt::format("the request head is larger than {} bytes", options.header_bytes_max));
    return true;
  }
  if (end == std::string_view::npos) {
    if (text.front() == kTlsHandshake) {
      refuse(400,
             "this port speaks plain HTTP, not TLS: use http://, or start the server with "
             "--tls-cert-file and --tls-key-file");
      return true;
    }
    if (scanned_ == 0) {
      const int64_t now_ms = steady_ms();
      read_deadline_ms_ = now_ms + options.header_timeout_ms;
      hurried_read_deadline_ms_ = now_ms + kHurriedMs;
    }
    scanned_ = text.size() < 3 ? 0 : text.size() - 3;
    if (scanned_ == 0) scanned_ = 1;  // so that the deadline stands
    return false;
  }
  if (const auto error = parse_head(text.substr(0, head_bytes), head_)) {
    refuse(error->status, error->detail);
    return true;
  }
  in_.consume(head_bytes);
  head_.request.peer = peer_;
  head_.request.id = loop_->shared().next_request_id.fetch_add(1, std::memory_order_relaxed);
  begin_body();
  return true;
}

template <class Stream>
void StreamConnection<Stream>::begin_body() {
  const ServerOptions& options = loop_->shared().options;
  if (head_.content_bytes > options.body_bytes_max) {
    return refuse(413, fmt::format("the body of {} bytes is larger than {} bytes",
                                   head_.content_bytes, options.body_bytes_max));
  }
  if (refused_early()) return;
  read_deadline_ms_ = steady_ms() + options.header_timeout_ms;
  hurried_read_deadline_ms_ = kNever;
  phase_ = Phase::kBody;
  body_.begin(head_);
  if (head_.expects_continue && in_.size() == 0 && (head_.chunked || head_.content_bytes > 0)) {
    answers_.say_continue();
    write_ready();
  }
}

template <class Stream>
bool StreamConnection<Stream>::refused_early() {
  const ServerOptions& options = loop_->shared().options;
  const bool ask = head_.chunked || head_.content_bytes > options.unasked_bytes_max;
  if (!ask || !options.refuse_early) return false;
  std::optional<Response> answer = options.refuse_early(head_.request);
  if (!answer) return false;
  refuse(std::move(*answer));
  return true;
}

template <class Stream>
bool StreamConnection<Stream>::step_body() {
  switch (body_.take(in_)) {
    case IncomingBody::State::kWhole:
      dispatch();
      return true;
    case IncomingBody::State::kRefused:
      refuse(body_.refusal().status, body_.refusal().detail);
      return true;
    case IncomingBody::State::kPart:
      break;
  }
  const int64_t now_ms = steady_ms();
  read_deadline_ms_ = body_.due_ms(now_ms);
  hurried_read_deadline_ms_ = body_.hurried_due_ms(now_ms);
  return false;
}

// Takes what is there of a body without waiting: mostly all of it, right behind its head. False
// when nothing is, or on an error, which the read that waits meets again.
template <class Stream>
bool StreamConnection<Stream>::take_body() {
  if constexpr (!kTls) {
    if (phase_ != Phase::kBody || !body_.in_place()) return false;
    boost::system::error_code error;
    const size_t bytes = stream_.read_some(body_.room(), error);
    if (error) return false;
    body_.read(bytes);
    return true;
  }
  return false;
}

// Reads a body of known length straight into its place, everything else into in_.
template <class Stream>
void StreamConnection<Stream>::read() {
  reading_ = true;
  auto done = [self = this->shared_from_this()](const boost::system::error_code& error,
                                                size_t bytes) { self->on_read(error, bytes); };
  if (phase_ == Phase::kBody && body_.in_place()) {
    stream_.async_read_some(body_.room(), done);
  } else {
    const size_t want = phase_ == Phase::kBody ? IncomingBody::kChunkedReadBytes : kReadBytes;
    stream_.async_read_some(in_.prepare(std::min(want, in_.max_size() - in_.size())), done);
  }
}

template <class Stream>
void StreamConnection<Stream>::on_read(const boost::system::error_code& error, size_t bytes) {
  reading_ = false;
  if (closed_) return;
  if (draining_) return error && error != net::error::operation_aborted ? close() : drain();
  if (error) {
    // A client that has said all may still wait for its answers, also for the one being written;
    // half a request is nothing.
    const bool answered = answers_.none() && !writing_;
    if (error != net::error::eof || answered || !idle()) return close();
    read_ended_ = true;
    read_deadline_ms_ = kNever;
    return;
  }
  if (phase_ == Phase::kBody && body_.in_place()) {
    body_.read(bytes);
  } else {
    in_.commit(bytes);
  }
  pump();
}

template <class Stream>
void StreamConnection<Stream>::dispatch() {
  Shared& shared = loop_->shared();
  Request request = std::move(head_.request);
  const size_t body_bytes = body_.give(request);
  if (finishing_) read_ended_ = true;
  if (!head_.keep_alive) read_ended_ = true;
  const bool head_only = request.method == "HEAD";
  const uint64_t slot = answers_.owe(
      {.head_only = head_only, .keep_alive = head_.keep_alive, .alone = goes_alone(request)});
  await_head();
  auto promise = std::make_shared<Promise>(loop_, this->shared_from_this(), slot, body_bytes);
  shared.handler(std::move(request),
                 [promise](Response response) { promise->keep(std::move(response)); });
}

// The answer to a request that can't be read, the last one of this connection.
template <class Stream>
void StreamConnection<Stream>::refuse(int status, std::string_view detail) {
  refuse(status == 503 ? problem_retry(status, detail, 1) : problem(status, detail));
}

template <class Stream>
void StreamConnection<Stream>::refuse(Response&& response) {
  read_ended_ = true;
  unread_input_ = true;
  read_deadline_ms_ = kNever;
  hurried_read_deadline_ms_ = kNever;
  if (const auto& refused = loop_->shared().options.refused) refused(response.status);
  answers_.refuse(std::move(response), asks_for_head());
  write_ready();
}

// Whether the request being read is a HEAD, also where its head was not or can't be parsed.
template <class Stream>
bool StreamConnection<Stream>::asks_for_head() const {
  const std::string& method = head_.request.method;
  if (!method.empty()) return method == "HEAD";
  const std::string_view text(static_cast<const char*>(in_.data().data()), in_.size());
  return text.starts_with("HEAD ");
}

template <class Stream>
void StreamConnection<Stream>::answer(uint64_t slot, Response response) {
  if (closed_) return;
  answers_.put(slot, std::move(response));
  write_ready();
}

// Writes all answers at the front that are ready, in one go.
template <class Stream>
void StreamConnection<Stream>::write_ready() {
  if (closed_ || writing_ || close_after_write_) return;
  close_after_write_ = answers_.write(read_ended_ || (finishing_ && idle()), out_);
  if (out_.empty()) return;
  writing_ = true;
  size_t sent = 0;
  if constexpr (!kTls) {
    // Answers nearly always fit the socket's buffer, and then nothing has to be waited for.
    boost::system::error_code error;
    sent = stream_.write_some(net::buffer(out_), error);
    if (error == net::error::would_block) error = {};
    if (error || sent == out_.size()) return on_written(error);
  }
  const int64_t now_ms = steady_ms();
  write_pace_.begin(now_ms, loop_->shared().options.idle_timeout_ms);
  write_pace_hurried_.begin(now_ms, kHurriedUnreadMs);
  const auto self = this->shared_from_this();
  net::async_write(
      stream_, net::buffer(out_) + sent,
      [self, sent](const boost::system::error_code& error, size_t more) -> size_t {
        if (error) return 0;
        self->wrote(sent + more);
        return kWriteBytes;
      },
      [self](const boost::system::error_code& error, size_t) { self->on_written(error); });
}

// So many bytes of out_ have gone.
template <class Stream>
void StreamConnection<Stream>::wrote(size_t bytes) {
  const size_t per_s_min = loop_->shared().options.body_bytes_per_s_min;
  const int64_t now_ms = steady_ms();
  write_deadline_ms_ = write_pace_.due_ms(now_ms, bytes, per_s_min);
  hurried_write_deadline_ms_ = write_pace_hurried_.due_ms(now_ms, bytes, per_s_min);
}

template <class Stream>
void StreamConnection<Stream>::on_written(const boost::system::error_code& error) {
  writing_ = false;
  write_deadline_ms_ = kNever;
  hurried_write_deadline_ms_ = kNever;
  if (closed_) return;
  if (error) return close();
  constexpr size_t kKeptBytes = 64 << 10;
  if (out_.capacity() > kKeptBytes) out_ = std::string();
  out_.clear();
  answers_.written();
  if (close_after_write_) return unread_input_ ? linger() : close();
  write_ready();
  if (!writing_ && answers_.none() && !read_ended_) {
    waits_since_ms_ = steady_ms();
    if (idle()) read_deadline_ms_ = waits_since_ms_ + loop_->shared().options.idle_timeout_ms;
  }
  pump();
}

template <class Stream>
void StreamConnection<Stream>::close_when_done() {
  if (!closed_ && read_ended_ && !writing_ && answers_.none() && !draining_) {
    unread_input_ ? linger() : close();
  }
}

// Ends our side and drops what still comes, for a while.
template <class Stream>
void StreamConnection<Stream>::linger() {
  draining_ = true;
  boost::system::error_code ignored;
  socket().shutdown(net::ip::tcp::socket::shutdown_send, ignored);
  read_deadline_ms_ = steady_ms() + kLingerMs;
  if (reading_) socket().cancel(ignored);
  drain();
}

template <class Stream>
void StreamConnection<Stream>::drain() {
  if (reading_) return;  // that read ends in on_read, which comes back here
  body_.drop();
  head_ = Head{};
  in_.consume(in_.size());
  reading_ = true;
  socket().async_read_some(
      in_.prepare(IncomingBody::kChunkedReadBytes),
      [self = this->shared_from_this()](const boost::system::error_code& error, size_t) {
        self->reading_ = false;
        if (self->closed_) return;
        if (error) return self->close();
        self->drain();
      });
}

template <class Stream>
void StreamConnection<Stream>::finish() {
  finishing_ = true;
  if (!idle()) return;
  read_ended_ = true;
  close_when_done();
}

template <class Stream>
void StreamConnection<Stream>::abort() {
  close();
}

template <class Stream>
void StreamConnection<Stream>::close() {
  if (closed_) return;
  closed_ = true;
  body_.uncount();
  answers_.drop();
  boost::system::error_code ignored;
  socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
  socket().close(ignored);
  loop_->remove(this);
}

template <class Stream>
void StreamConnection<Stream>::check_deadlines(int64_t now_ms) {
  const Shared& shared = loop_->shared();
  if (now_ms >= write_deadline_ms_) return close();
  if (answers_.counted() && now_ms >= hurried_write_deadline_ms_ &&
      shared.answers_bytes > shared.options.answers_bytes_max) {
    return close();
  }
  if (now_ms >= hurried_read_deadline_ms_) {
    if (finishing_) return refuse(503, "this server stops, and the rest of the request is late");
    if (body_.takes_room() && shared.bodies_bytes > shared.options.bodies_bytes_max / 2) {
      return refuse(503, "nothing more came of this body, and others need its room");
    }
  }
  if (now_ms < read_deadline_ms_) return;
  read_deadline_ms_ = kNever;
  if (draining_ || idle()) return close();
  refuse(408, "the request came too slowly");
}

template <class Stream>
int64_t StreamConnection<Stream>::waits_since_ms() const {
  // What is in in_ and was not looked at may be whole requests, whose turn comes.
  const bool waits = phase_ == Phase::kHead && (in_.size() == 0 || scanned_ > 0) &&
                     answers_.none() && !writing_ && !draining_ && !read_ended_;
  return waits ? waits_since_ms_ : kNever;
}

template class StreamConnection<PlainStream>;
template class StreamConnection<TlsStream>;

}  // namespace ca4::http
