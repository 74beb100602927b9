#include "http/inflate.h"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <cstdint>
#include <cstring>

namespace ca4::http {
namespace {

constexpr size_t kPadding = 64;
// Floats as text shrink about threefold: one growth step at most for honest bodies.
constexpr size_t kExpectedRatio = 4;
// 8 MiB of history, what `zstd -19` uses; more would let a tiny body claim much memory.
constexpr int kZstdWindowLogMax = 23;

// The inflated bytes as they grow; never more than the limit.
struct Output {
  std::unique_ptr<char[]> data;
  size_t bytes = 0;
  size_t capacity = 0;
  size_t limit = 0;

  char* room_begin() { return data.get() + bytes; }
  size_t room() const { return capacity - bytes; }
  // False at the limit.
  bool grow() {
    if (capacity == limit) return false;
    const size_t larger = std::min(limit, std::max<size_t>(capacity * 2, 4096));
    std::unique_ptr<char[]> moved(new char[larger + kPadding]);  // not zeroed: it is written
    if (bytes > 0) std::memcpy(moved.get(), data.get(), bytes);
    data = std::move(moved);
    capacity = larger;
    return true;
  }
};

Status too_large(size_t limit) {
  return {Code::kTooLarge, fmt::format("the body inflates to more than {} bytes", limit)};
}

Status damaged(const char* coding) {
  return {Code::kInvalidArgument, fmt::format("the body is no whole {} data", coding)};
}

Status inflate_gzip(std::string_view in, Output& out) {
  z_stream stream{};
  constexpr int kGzipOnly = 16 + MAX_WBITS;
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) return {Code::kInternal, "zlib has no memory"};
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  while (true) {
    char beyond = 0;
    const bool full = out.room() == 0 && !out.grow();
    stream.next_out = reinterpret_cast<Bytef*>(full ? &beyond : out.room_begin());
    stream.avail_out = full ? 1 : static_cast<uInt>(std::min<size_t>(out.room(), 1U << 30));
    const uInt room = stream.avail_out;
    const int result = inflate(&stream, Z_NO_FLUSH);
    const uInt made = room - stream.avail_out;
    if (full && made > 0) return too_large(out.limit);
    if (!full) out.bytes += made;
    if (result == Z_STREAM_END) {
      if (stream.avail_in == 0) return Status::ok();
      if (inflateReset(&stream) != Z_OK) return damaged("gzip");  // members may follow (RFC 1952)
      continue;
    }
    if (result != Z_OK || (stream.avail_in == 0 && stream.avail_out > 0)) return damaged("gzip");
  }
}

// Whether what begins here is a frame of RFC 8878, to be read or skipped. Debian's libzstd also
// takes what versions before 0.8 wrote, by decoders that nobody looks after.
bool is_zstd_frame(std::string_view in) {
  uint32_t magic = 0;
  if (in.size() < sizeof magic) return false;
  std::memcpy(&magic, in.data(), sizeof magic);
  return magic == ZSTD_MAGICNUMBER ||
         (magic & ZSTD_MAGIC_SKIPPABLE_MASK) == ZSTD_MAGIC_SKIPPABLE_START;
}

Status inflate_zstd(std::string_view in, Output& out) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(),
                                                                   ZSTD_freeDCtx);
  if (!context) return {Code::kInternal, "zstd has no memory"};
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kZstdWindowLogMax);
  ZSTD_inBuffer input{in.data(), in.size(), 0};
  bool frame_begins = true;
  while (true) {
    if (frame_begins && !is_zstd_frame(in.substr(input.pos))) return damaged("zstd");
    char beyond = 0;
    const bool full = out.room() == 0 && !out.grow();
    ZSTD_outBuffer output{full ? &beyond : out.room_begin(), full ? 1 : out.room(), 0};
    const size_t left = ZSTD_decompressStream(context.get(), &output, &input);
    if (ZSTD_isError(left)) return damaged("zstd");
    if (full && output.pos > 0) return too_large(out.limit);
    if (!full) out.bytes += output.pos;
    const bool all_read = input.pos == input.size;
    if (left == 0 && all_read) return Status::ok();
    if (all_read && output.pos < output.size) return damaged("zstd");
    frame_begins = left == 0;
  }
}

}  // namespace

Status inflate_body(Request& request, size_t inflated_bytes_max) {
  const std::string_view coding = request.header("Content-Encoding");
  const auto is = [&](const char* name) {
    return boost::beast::iequals({coding.data(), coding.size()}, name);
  };
  if (coding.empty() || is("identity")) return Status::ok();
  const bool gzip = is("gzip") || is("x-gzip");
  if (!gzip && !is("zstd")) {
    return {Code::kNotFound,
            fmt::format("Content-Encoding {} is not gzip, zstd or identity", coding)};
  }
  Output out;
  out.limit = inflated_bytes_max;
  out.capacity =
      std::min(inflated_bytes_max, std::max<size_t>(request.body_bytes * kExpectedRatio, 4096));
  out.data.reset(new char[out.capacity + kPadding]);
  const Status done = gzip ? inflate_gzip(request.body(), out) : inflate_zstd(request.body(), out);
  if (!done.is_ok()) return done;
  std::memset(out.data.get() + out.bytes, 0, kPadding);
  request.body_data = std::move(out.data);
  request.body_bytes = out.bytes;
  request.body_capacity = out.capacity + kPadding;
  std::erase_if(request.headers, [](const auto& header) {
    return boost::beast::iequals({header.first.data(), header.first.size()}, "Content-Encoding");
  });
  return Status::ok();
}

}  // namespace ca4::http
