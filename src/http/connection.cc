#include "http/connection.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <cstring>
#include <utility>

#include "http/problem.h"
#include "http/response_text.h"

namespace ca4::http {
namespace {

// One read of a head; a request without a body or with a short one fits.
constexpr size_t kReadBytes = 4 << 10;
// One read of a chunked body.
constexpr size_t kChunkedReadBytes = 64 << 10;
// One write of an answer; after it the client has so many bytes' time more.
constexpr size_t kWriteBytes = 64 << 10;
// Bodies up to here get their memory at once: an event of 2048 floats as Python prints them. Larger
// ones get it as they come, so that who only announces a large body holds no memory.
constexpr size_t kBodyBytesAtOnce = 64 << 10;
// Then it doubles; where so much has come, it gets more at once. The kernel gives pages as they are
// written, so that this takes no memory, only room for addresses; and copying what is there from
// place to place would keep others of the loop waiting.
constexpr size_t kBodyBytesTrusted = 1 << 20;
constexpr size_t kTrustedGrowth = 16;
// Of the room of all bodies together, what those up to kBodyBytesAtOnce have for themselves on top:
// a fourth. Whoever fills it with large ones keeps nobody's single events out.
constexpr size_t kRoomPerSmallRoom = 4;
// How far ahead of the least rate what came already may bring a body. TCP tries again 13 and 26 s
// after a network went: one that is back by then costs nobody an upload.
constexpr int64_t kBodyAheadMs = 30'000;
// The same where others need the room, or the server stops: a few round trips, or a packet that is
// lost three times.
constexpr int64_t kHurriedMs = 3'000;
// And for what a client reads: the kernel tells of it when a third of its buffer is free again, for
// which who reads 20 kB/s takes that long.
constexpr int64_t kHurriedUnreadMs = 6'000;
// simdjson reads up to 64 bytes past the end.
constexpr size_t kPadding = 64;
// How long what a refused client still sends is read and dropped, so that it sees the answer before
// a reset.
constexpr int64_t kLingerMs = 2'000;
// A client that reads no answers gets no further request read while so much waits for it, so that
// pipelined requests for large answers hold no more memory than that and one answer. Thousands of
// ordinary answers are less.
constexpr size_t kUnreadAnswersBytesMax = 64 << 10;
// How long a connection takes request after request before others of its loop have their turn:
// thousands of them, or large answers, would else keep those waiting for milliseconds. Longer than
// any single one, so that nobody else is put off.
constexpr auto kTurn = std::chrono::microseconds(500);
// Chunk heads and extensions may be as much as the body itself, and a little for an empty one.
constexpr size_t kChunkedOverhead = 64 << 10;
// How a client of TLS begins: the type of a record with a handshake (RFC 8446 section 5.1).
constexpr char kTlsHandshake = 0x16;

int64_t unix_s() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
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
      in_(std::max(loop_->shared().options.header_bytes_max, kChunkedReadBytes) + kReadBytes),
      body_pace_(std::max(loop_->shared().options.header_timeout_ms, kBodyAheadMs)),
      body_pace_hurried_(kHurriedMs),
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
  if constexpr (std::is_same_v<Stream, TlsStream>) {
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
  append_response(problem(400, "this port speaks HTTPS: use https://"), false, false,
                  {.tls = false, .unix_s = unix_s()}, out_);
  net::async_write(socket(), net::buffer(out_),
                   [self = this->shared_from_this()](const boost::system::error_code& error,
                                                     size_t) { self->on_written(error); });
}

template <class Stream>
void StreamConnection<Stream>::turn_away() {
  register_here();
  if (const auto& refused = loop_->shared().options.refused) refused(503);
  // A handshake would cost more than what the limit is to save.
  if constexpr (std::is_same_v<Stream, TlsStream>) return close();
  unread_input_ = true;
  read_ended_ = true;
  Response response = problem_retry(503, "too many connections", 1);
  slots_.push_back({.response = std::move(response), .keep_alive = false});
  write_ready();
}

template <class Stream>
Socket& StreamConnection<Stream>::socket() {
  if constexpr (std::is_same_v<Stream, TlsStream>) {
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
    if (phase_ == Phase::kHead && !reads_ahead()) break;
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

// Whether another request may be begun before all are answered. Behind a GET whose answer another
// thread makes none: how large it becomes is not known yet. Without one to begin it is read on, to
// see a client hang up.
template <class Stream>
bool StreamConnection<Stream>::reads_ahead() const {
  if (slots_.size() >= loop_->shared().options.pipeline_max) return false;
  if (unread_answers_bytes_ > kUnreadAnswersBytesMax) return false;
  return slots_.empty() || !slots_.back().reads || slots_.back().response || in_.size() == 0;
}

// One step with what was read; false when it takes more bytes.
template <class Stream>
bool StreamConnection<Stream>::step() {
  switch (phase_) {
    case Phase::kHead:
      return step_head();
    case Phase::kBody:
      return step_body();
    case Phase::kChunked:
      return step_chunked();
  }
  return false;
}

template <class Stream>
void StreamConnection<Stream>::await_head() {
  phase_ = Phase::kHead;
  head_ = Head{};
  scanned_ = 0;
  read_deadline_ms_ = kNever;
  hurried_read_deadline_ms_ = kNever;
  if (in_.size() == 0 && slots_.empty()) {
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
  body_received_ = 0;
  const int64_t now_ms = steady_ms();
  body_pace_.begin(now_ms, options.header_timeout_ms);
  body_pace_hurried_.begin(now_ms, options.header_timeout_ms);
  read_deadline_ms_ = now_ms + options.header_timeout_ms;
  hurried_read_deadline_ms_ = kNever;
  if (head_.chunked) {
    phase_ = Phase::kChunked;
    chunked_ = std::make_unique<ChunkedBody>(options.body_bytes_max);
  } else {
    phase_ = Phase::kBody;
    grow_body(std::min<size_t>(head_.content_bytes, kBodyBytesAtOnce));
  }
  if (head_.expects_continue && in_.size() == 0 && (head_.chunked || head_.content_bytes > 0)) {
    slots_.push_back({.response = Response{}, .interim = true});
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

// Slower than the least rate is too slow, whatever the length.
template <class Stream>
void StreamConnection<Stream>::await_body() {
  const size_t per_s_min = loop_->shared().options.body_bytes_per_s_min;
  const int64_t now_ms = steady_ms();
  read_deadline_ms_ = body_pace_.due_ms(now_ms, body_received_, per_s_min);
  hurried_read_deadline_ms_ = body_pace_hurried_.due_ms(now_ms, body_received_, per_s_min);
}

// `more` bytes have come of a body. False when all bodies together are too much: refused. What was
// only announced counts nothing: a thousand clients that send a byte a second must not take the
// room of those that send all.
template <class Stream>
bool StreamConnection<Stream>::count_body(size_t more) {
  Shared& shared = loop_->shared();
  const bool small = !head_.chunked && head_.content_bytes <= kBodyBytesAtOnce;
  const size_t room = shared.options.bodies_bytes_max;
  const size_t max = small ? room + room / kRoomPerSmallRoom : room;
  if (shared.bodies_bytes.fetch_add(more) + more > max) {
    shared.bodies_bytes.fetch_sub(more);
    refuse(503, "too many large bodies at once");
    return false;
  }
  counted_bytes_ += more;
  return true;
}

// So many bytes were read into the body's place. False as above.
template <class Stream>
bool StreamConnection<Stream>::received(size_t bytes) {
  head_.request.body_bytes += bytes;
  body_received_ += bytes;
  return count_body(bytes);
}

// Of a body that will not be handled. Not while it is being read into.
template <class Stream>
void StreamConnection<Stream>::release_body() {
  loop_->shared().bodies_bytes.fetch_sub(std::exchange(counted_bytes_, 0));
  head_ = Head{};
  chunked_.reset();
}

// Memory for a body of `want` bytes.
template <class Stream>
void StreamConnection<Stream>::grow_body(size_t want) {
  Request& request = head_.request;
  if (request.body_capacity >= want + kPadding) return;
  std::unique_ptr<char[]> larger(new char[want + kPadding]);  // not zeroed: it is read into
  if (request.body_bytes > 0)
    std::memcpy(larger.get(), request.body_data.get(), request.body_bytes);
  std::memset(larger.get() + want, 0, kPadding);
  request.body_data = std::move(larger);
  request.body_capacity = want + kPadding;
}

template <class Stream>
bool StreamConnection<Stream>::step_body() {
  Request& request = head_.request;
  const size_t here = std::min<size_t>(in_.size(), head_.content_bytes - request.body_bytes);
  if (here > 0) {
    grow_body(request.body_bytes + here);
    std::memcpy(request.body_data.get() + request.body_bytes, in_.data().data(), here);
    in_.consume(here);
    if (!received(here)) return true;
  }
  if (request.body_bytes == head_.content_bytes) {
    dispatch();
    return true;
  }
  if (request.body_capacity - kPadding == request.body_bytes) {
    const size_t growth = request.body_bytes < kBodyBytesTrusted ? 2 : kTrustedGrowth;
    grow_body(std::min<size_t>(request.body_bytes * growth, head_.content_bytes));
  }
  await_body();
  return false;
}

template <class Stream>
bool StreamConnection<Stream>::step_chunked() {
  if (in_.size() == 0) {  // there is only the head yet
    await_body();
    return false;
  }
  const std::string_view coded(static_cast<const char*>(in_.data().data()), in_.size());
  size_t used = 0;
  if (const auto error = chunked_->take(coded, used)) {
    refuse(error->status, error->detail);
    return true;
  }
  in_.consume(used);
  body_received_ += used;
  const std::string& bytes = chunked_->bytes();
  if (bytes.size() > counted_bytes_ && !count_body(bytes.size() - counted_bytes_)) return true;
  if (body_received_ > 2 * loop_->shared().options.body_bytes_max + kChunkedOverhead ||
      (used == 0 && in_.size() >= kChunkedReadBytes)) {
    refuse(400, "bad chunked coding: more chunk heads than body");
    return true;
  }
  if (chunked_->done()) {
    grow_body(bytes.size());
    std::memcpy(head_.request.body_data.get(), bytes.data(), bytes.size());
    head_.request.body_bytes = bytes.size();
    chunked_.reset();
    dispatch();
    return true;
  }
  await_body();
  return used > 0 && in_.size() > 0;
}

// Where the body goes, as far as there is memory for it.
template <class Stream>
net::mutable_buffer StreamConnection<Stream>::body_room() {
  const Request& request = head_.request;
  return net::buffer(request.body_data.get() + request.body_bytes,
                     request.body_capacity - kPadding - request.body_bytes);
}

// Takes what is there of a body without waiting: mostly all of it, right behind its head. False
// when nothing is, or on an error, which the read that waits meets again.
template <class Stream>
bool StreamConnection<Stream>::take_body() {
  if constexpr (std::is_same_v<Stream, PlainStream>) {
    if (phase_ != Phase::kBody) return false;
    boost::system::error_code error;
    const size_t bytes = stream_.read_some(body_room(), error);
    if (error) return false;
    (void)received(bytes);
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
  if (phase_ == Phase::kBody) {
    stream_.async_read_some(body_room(), done);
  } else {
    const size_t want = phase_ == Phase::kChunked ? kChunkedReadBytes : kReadBytes;
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
    const bool answered = slots_.empty() && !writing_;
    if (error != net::error::eof || answered || !idle()) return close();
    read_ended_ = true;
    read_deadline_ms_ = kNever;
    return;
  }
  if (phase_ == Phase::kBody) {
    (void)received(bytes);
  } else {
    in_.commit(bytes);
  }
  pump();
}

template <class Stream>
void StreamConnection<Stream>::dispatch() {
  Shared& shared = loop_->shared();
  Request request = std::move(head_.request);
  if (finishing_) read_ended_ = true;
  if (!head_.keep_alive) read_ended_ = true;
  slots_.push_back({.response = std::nullopt,
                    .head_only = request.method == "HEAD",
                    .keep_alive = head_.keep_alive,
                    .reads = request.method == "GET" || request.method == "HEAD"});
  const uint64_t slot = first_slot_ + slots_.size() - 1;
  await_head();
  auto promise = std::make_shared<Promise>(loop_, this->shared_from_this(), slot,
                                           std::exchange(counted_bytes_, 0));
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
  slots_.push_back(
      {.response = std::move(response), .head_only = asks_for_head(), .keep_alive = false});
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
  if (closed_ || slot < first_slot_ || slot - first_slot_ >= slots_.size()) return;
  Slot& waiting = slots_[slot - first_slot_];
  waiting.keep_alive = waiting.keep_alive && !response.close;
  unread_answers_bytes_ += response.body.size();
  if (unread_answers_bytes_ > kUnreadAnswersBytesMax) count_answers();
  waiting.response = std::move(response);
  write_ready();
}

// Counts what is not read of answers among that of all, where it is much.
template <class Stream>
void StreamConnection<Stream>::count_answers() {
  const size_t many = unread_answers_bytes_ > kUnreadAnswersBytesMax ? unread_answers_bytes_ : 0;
  if (many == counted_answers_bytes_) return;
  loop_->shared().answers_bytes.fetch_add(many - counted_answers_bytes_);
  counted_answers_bytes_ = many;
}

// Writes all answers at the front that are ready, in one go.
template <class Stream>
void StreamConnection<Stream>::write_ready() {
  if (closed_ || writing_ || close_after_write_) return;
  while (!slots_.empty() && slots_.front().response && !close_after_write_) {
    Slot& slot = slots_.front();
    if (slot.interim) {
      out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    } else {
      const bool last = slots_.size() == 1 && (read_ended_ || (finishing_ && idle()));
      close_after_write_ = !slot.keep_alive || last;
      append_response(*slot.response, slot.head_only, !close_after_write_,
                      {.tls = std::is_same_v<Stream, TlsStream>, .unix_s = unix_s()}, out_);
    }
    slots_.pop_front();
    ++first_slot_;
  }
  if (out_.empty()) return;
  writing_ = true;
  size_t sent = 0;
  if constexpr (std::is_same_v<Stream, PlainStream>) {
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
  unread_answers_bytes_ = 0;
  for (const Slot& slot : slots_) {
    if (slot.response) unread_answers_bytes_ += slot.response->body.size();
  }
  count_answers();
  if (close_after_write_) return unread_input_ ? linger() : close();
  write_ready();
  if (!writing_ && slots_.empty() && !read_ended_) {
    waits_since_ms_ = steady_ms();
    if (idle()) read_deadline_ms_ = waits_since_ms_ + loop_->shared().options.idle_timeout_ms;
  }
  pump();
}

template <class Stream>
void StreamConnection<Stream>::close_when_done() {
  if (!closed_ && read_ended_ && !writing_ && slots_.empty() && !draining_) {
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
  release_body();
  in_.consume(in_.size());
  reading_ = true;
  socket().async_read_some(
      in_.prepare(kChunkedReadBytes),
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
  loop_->shared().bodies_bytes.fetch_sub(std::exchange(counted_bytes_, 0));
  loop_->shared().answers_bytes.fetch_sub(std::exchange(counted_answers_bytes_, 0));
  slots_.clear();
  boost::system::error_code ignored;
  socket().shutdown(net::ip::tcp::socket::shutdown_both, ignored);
  socket().close(ignored);
  loop_->remove(this);
}

template <class Stream>
void StreamConnection<Stream>::check_deadlines(int64_t now_ms) {
  const Shared& shared = loop_->shared();
  if (now_ms >= write_deadline_ms_) return close();
  if (counted_answers_bytes_ > 0 && now_ms >= hurried_write_deadline_ms_ &&
      shared.answers_bytes > shared.options.answers_bytes_max) {
    return close();
  }
  if (now_ms >= hurried_read_deadline_ms_) {
    if (finishing_) return refuse(503, "this server stops, and the rest of the request is late");
    if (counted_bytes_ > kBodyBytesAtOnce &&
        shared.bodies_bytes > shared.options.bodies_bytes_max / 2) {
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
                     slots_.empty() && !writing_ && !draining_ && !read_ended_;
  return waits ? waits_since_ms_ : kNever;
}

template class StreamConnection<PlainStream>;
template class StreamConnection<TlsStream>;

}  // namespace ca4::http
