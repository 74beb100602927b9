// The body of the request that a connection reads: its memory, its part of the room that all bodies
// share, and how late it may be. Internal to http/; everything on its loop's thread.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <cstdint>
#include <memory>
#include <optional>

#include "http/loop.h"
#include "http/pace.h"
#include "http/request_head.h"

namespace ca4::http {

// One body after the other. What has come of it counts in Shared::bodies_bytes until it is given on
// or dropped.
class IncomingBody {
 public:
  // One read of a chunked body.
  static constexpr size_t kChunkedReadBytes = 64 << 10;

  // `shared` must live as long.
  explicit IncomingBody(Shared& shared);
  IncomingBody(const IncomingBody&) = delete;
  IncomingBody& operator=(const IncomingBody&) = delete;
  ~IncomingBody() { uncount(); }

  // The body of the request with this head, of at most ServerOptions::body_bytes_max.
  void begin(const Head& head);

  enum class State { kPart, kWhole, kRefused };
  // Takes what `in` has of it. kPart: more has to be read first.
  State take(boost::beast::flat_buffer& in);
  // Why, after kRefused.
  const HeadError& refusal() const { return *refusal_; }

  // Whether it is read straight into its place; else into the buffer that `take` gets.
  bool in_place() const { return chunked_ == nullptr; }
  // Its place, as far as there is memory for it, after kPart. Stays where it is until `take`,
  // `give` or `drop`.
  boost::asio::mutable_buffer room();
  // So many bytes were read into room().
  void read(size_t bytes);

  // By when more must have come; `hurried`: where others need the room, or the server stops.
  int64_t due_ms(int64_t now_ms) { return due_ms(pace_, now_ms); }
  int64_t hurried_due_ms(int64_t now_ms) { return due_ms(pace_hurried_, now_ms); }
  // Whether it has so much of the room that others may need it.
  bool takes_room() const;

  // After kWhole: puts it into `request`, and says how much of Shared::bodies_bytes it is, which is
  // the caller's from now on.
  size_t give(Request& request);
  // It will not be handled. Its memory stays: it may be being read into.
  void uncount();
  // The same, and frees its memory.
  void drop();

 private:
  State take_plain(boost::beast::flat_buffer& in);
  State take_chunked(boost::beast::flat_buffer& in);
  void grow(size_t want);
  bool count(size_t more);
  int64_t due_ms(Pace& pace, int64_t now_ms) const;
  State refuse(HeadError error);

  Shared& shared_;
  std::unique_ptr<char[]> data_;
  size_t bytes_ = 0;
  size_t capacity_ = 0;
  size_t length_ = 0;    // of a body that is not chunked
  size_t received_ = 0;  // with chunks' heads
  size_t counted_ = 0;   // in Shared::bodies_bytes
  std::unique_ptr<ChunkedBody> chunked_;
  std::optional<HeadError> refusal_;
  Pace pace_;
  Pace pace_hurried_;
};

}  // namespace ca4::http
