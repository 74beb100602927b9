#include "http/incoming_body.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

namespace ca4::http {
namespace {

// Bodies up to here get their memory at once: an event of 2048 floats as Python prints them. Larger
// ones get it as they come, so that who only announces a large body holds no memory.
constexpr size_t kBytesAtOnce = 64 << 10;
// Then it doubles; where so much has come, it gets more at once. The kernel gives pages as they are
// written, so that this takes no memory, only room for addresses; and copying what is there from
// place to place would keep others of the loop waiting.
constexpr size_t kBytesTrusted = 1 << 20;
constexpr size_t kTrustedGrowth = 16;
// Of the room of all bodies together, what those up to kBytesAtOnce have for themselves on top: a
// fourth. Whoever fills it with large ones keeps nobody's single events out.
constexpr size_t kRoomPerSmallRoom = 4;
// How far ahead of the least rate what came already may bring a body. TCP tries again 13 and 26 s
// after a network went: one that is back by then costs nobody an upload.
constexpr int64_t kAheadMs = 30'000;
// Chunk heads and extensions may be as much as the body itself, and a little for an empty one.
constexpr size_t kChunkedOverhead = 64 << 10;
// simdjson reads up to 64 bytes past the end.
constexpr size_t kPadding = 64;

}  // namespace

IncomingBody::IncomingBody(Shared& shared)
    : shared_(shared),
      pace_(std::max(shared.options.header_timeout_ms, kAheadMs)),
      pace_hurried_(kHurriedMs) {}

void IncomingBody::begin(const Head& head) {
  const ServerOptions& options = shared_.options;
  received_ = 0;
  const int64_t now_ms = steady_ms();
  pace_.begin(now_ms, options.header_timeout_ms);
  pace_hurried_.begin(now_ms, options.header_timeout_ms);
  if (head.chunked) {
    chunked_ = std::make_unique<ChunkedBody>(options.body_bytes_max);
  } else {
    length_ = head.content_bytes;
    grow(std::min(length_, kBytesAtOnce));
  }
}

IncomingBody::State IncomingBody::take(boost::beast::flat_buffer& in) {
  if (refusal_) return State::kRefused;
  return chunked_ ? take_chunked(in) : take_plain(in);
}

IncomingBody::State IncomingBody::take_plain(boost::beast::flat_buffer& in) {
  const size_t here = std::min(in.size(), length_ - bytes_);
  if (here > 0) {
    grow(bytes_ + here);
    std::memcpy(data_.get() + bytes_, in.data().data(), here);
    in.consume(here);
    read(here);
    if (refusal_) return State::kRefused;
  }
  if (bytes_ == length_) return State::kWhole;
  if (capacity_ - kPadding == bytes_) {
    const size_t growth = bytes_ < kBytesTrusted ? 2 : kTrustedGrowth;
    grow(std::min(bytes_ * growth, length_));
  }
  return State::kPart;
}

IncomingBody::State IncomingBody::take_chunked(boost::beast::flat_buffer& in) {
  while (in.size() > 0) {
    const std::string_view coded(static_cast<const char*>(in.data().data()), in.size());
    size_t used = 0;
    if (auto error = chunked_->take(coded, used)) return refuse(std::move(*error));
    in.consume(used);
    received_ += used;
    const std::string& bytes = chunked_->bytes();
    if (bytes.size() > counted_ && !count(bytes.size() - counted_)) return State::kRefused;
    if (received_ > 2 * shared_.options.body_bytes_max + kChunkedOverhead ||
        (used == 0 && in.size() >= kChunkedReadBytes)) {
      return refuse({400, "bad chunked coding: more chunk heads than body"});
    }
    if (chunked_->done()) {
      grow(bytes.size());
      std::memcpy(data_.get(), bytes.data(), bytes.size());
      bytes_ = bytes.size();
      return State::kWhole;
    }
    if (used == 0) break;
  }
  return State::kPart;
}

boost::asio::mutable_buffer IncomingBody::room() {
  return boost::asio::buffer(data_.get() + bytes_, capacity_ - kPadding - bytes_);
}

void IncomingBody::read(size_t bytes) {
  bytes_ += bytes;
  received_ += bytes;
  count(bytes);
}

bool IncomingBody::takes_room() const {
  return counted_ > kBytesAtOnce;
}

size_t IncomingBody::give(Request& request) {
  request.body_data = std::move(data_);
  request.body_bytes = std::exchange(bytes_, 0);
  request.body_capacity = std::exchange(capacity_, 0);
  chunked_.reset();
  return std::exchange(counted_, 0);
}

void IncomingBody::uncount() {
  shared_.bodies_bytes.fetch_sub(std::exchange(counted_, 0));
}

void IncomingBody::drop() {
  uncount();
  data_.reset();
  bytes_ = 0;
  capacity_ = 0;
  chunked_.reset();
}

// Memory for `want` bytes.
void IncomingBody::grow(size_t want) {
  if (capacity_ >= want + kPadding) return;
  std::unique_ptr<char[]> larger(new char[want + kPadding]);  // not zeroed: it is read into
  if (bytes_ > 0) std::memcpy(larger.get(), data_.get(), bytes_);
  std::memset(larger.get() + want, 0, kPadding);
  data_ = std::move(larger);
  capacity_ = want + kPadding;
}

// `more` bytes have come. False when all bodies together are too much: refused. What was only
// announced counts nothing: a thousand clients that send a byte a second must not take the room of
// those that send all.
bool IncomingBody::count(size_t more) {
  const bool small = !chunked_ && length_ <= kBytesAtOnce;
  const size_t room = shared_.options.bodies_bytes_max;
  const size_t max = small ? room + room / kRoomPerSmallRoom : room;
  if (shared_.bodies_bytes.fetch_add(more) + more > max) {
    shared_.bodies_bytes.fetch_sub(more);
    refuse({503, "too many large bodies at once"});
    return false;
  }
  counted_ += more;
  return true;
}

// Slower than the least rate is too slow, whatever the length.
int64_t IncomingBody::due_ms(Pace& pace, int64_t now_ms) const {
  return pace.due_ms(now_ms, received_, shared_.options.body_bytes_per_s_min);
}

IncomingBody::State IncomingBody::refuse(HeadError error) {
  refusal_ = std::move(error);
  return State::kRefused;
}

}  // namespace ca4::http
