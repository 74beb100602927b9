// Compressed bodies: refused and left alone, or within the limit, and then what another decoder
// makes of them; what was compressed comes back, in one piece or several, and never a part of it.
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>

#include "http/inflate.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

constexpr size_t kInflatedBytesMax = 1 << 18;

http::Request request_of(std::string_view body, const char* coding) {
  http::Request request;
  request.headers.emplace_back("Content-Encoding", coding);
  request.body_capacity = body.size() + event::Parser::kPaddingBytes;
  request.body_data = std::make_unique<char[]>(request.body_capacity);
  std::copy(body.begin(), body.end(), request.body_data.get());
  request.body_bytes = body.size();
  return request;
}

// Packers are kept: making one takes longer than to pack an input.
std::string zstd(std::string_view text) {
  static ZSTD_CCtx* const packer = ZSTD_createCCtx();
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compressCCtx(packer, out.data(), out.size(), text.data(), text.size(), 1));
  return out;
}

struct GzipPacker {
  static constexpr int kMemoryLevel = 1;  // of 9: tables that are quick to clear
  GzipPacker() {
    require(deflateInit2(&stream, 1, Z_DEFLATED, 16 + MAX_WBITS, kMemoryLevel,
                         Z_DEFAULT_STRATEGY) == Z_OK,
            "zlib");
  }
  z_stream stream{};
};

std::string gzip(std::string_view text) {
  static GzipPacker packer;
  z_stream& stream = packer.stream;
  require(deflateReset(&stream) == Z_OK, "zlib");
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  require(deflate(&stream, Z_FINISH) == Z_STREAM_END, "zlib");
  out.resize(stream.total_out);
  return out;
}

// Zstandard's decoder of whole bodies, which shares little with the one of pieces.
void compare_zstd(std::string_view packed, std::string_view inflated) {
  std::string out(kInflatedBytesMax, '\0');
  const size_t bytes = ZSTD_decompress(out.data(), out.size(), packed.data(), packed.size());
  // Whose last block is empty, the decoder of streams (1.5.4) takes for whole though it be shorter
  // than its head says; this one does not. A body is what its blocks hold.
  if (ZSTD_getErrorCode(bytes) == ZSTD_error_corruption_detected) return;
  require(ZSTD_isError(bytes) == 0, "what is taken is zstd");
  require(std::string_view(out).substr(0, bytes) == inflated, "and the same to both decoders");
}

void check_any(std::string_view body, const char* coding) {
  http::Request request = request_of(body, coding);
  const Status inflated = http::inflate_body(request, kInflatedBytesMax);
  require(request.body_capacity >= request.body_bytes + event::Parser::kPaddingBytes,
          "padding stays");
  if (!inflated.is_ok()) {
    require(inflated.code() == Code::kTooLarge || inflated.code() == Code::kInvalidArgument,
            "a refusal has a reason", inflated.to_string());
    require(request.body() == body && request.header("Content-Encoding") == coding,
            "what is refused is left as it was");
    return;
  }
  require(request.body_bytes <= kInflatedBytesMax, "no more than is allowed");
  require(request.headers.empty(), "what is inflated does not say that it is not");
  if (std::string_view(coding) == "zstd") compare_zstd(body, request.body());
}

Code outcome(std::string_view packed, const char* coding, size_t inflated_bytes_max) {
  http::Request request = request_of(packed, coding);
  return http::inflate_body(request, inflated_bytes_max).code();
}

void check_back(std::string_view text, std::string (*pack)(std::string_view), const char* coding) {
  const std::string packed = pack(text);
  http::Request request = request_of(packed, coding);
  require(http::inflate_body(request, kInflatedBytesMax).is_ok(), "what was packed is taken");
  require(request.body() == text, "and is the same");
  require(outcome(packed, coding, text.size()) == Code::kOk, "the limit itself is allowed");
  const size_t cut = text.empty() ? 0 : static_cast<unsigned char>(text[0]) % packed.size();
  require(outcome(packed.substr(0, cut), coding, kInflatedBytesMax) == Code::kInvalidArgument,
          "a part of it is refused");
  if (text.empty()) return;
  require(outcome(packed, coding, text.size() - 1) == Code::kTooLarge, "the limit holds");

  // The empty ones add nothing, also where there is no room any more.
  const std::string nothing = pack({});
  const std::string pieces =
      pack(text.substr(0, cut % text.size())) + pack(text.substr(cut % text.size()));
  http::Request joined = request_of(pieces + nothing + nothing, coding);
  require(http::inflate_body(joined, text.size()).is_ok(), "several pieces are taken");
  require(joined.body() == text, "and are the same");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = text_of(data, size);
  check_any(text, "gzip");
  check_any(text, "zstd");
  check_back(text, gzip, "gzip");
  check_back(text, zstd, "zstd");
  return 0;
}
