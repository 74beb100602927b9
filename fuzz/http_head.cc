// The head of a request and a chunked body behind it. A head that is taken has a field a line and
// says once where its body ends, and written plainly it means the same; a chunked body is the same
// in whatever pieces it comes, and ends where the next request begins.
#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "http/request_head.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

constexpr size_t kBodyBytesMax = 1 << 16;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return out;
}

// Looks for the lines by itself: a head that ends earlier for one parser than for another is how a
// request is smuggled past a proxy.
void check_lines(std::string_view text, const http::Head& head) {
  const auto& headers = head.request.headers;
  size_t at = text.find("\r\n") + 2;
  size_t lines = 0;
  for (; text.substr(at) != "\r\n"; ++lines) {
    require(lines < headers.size(), "each line is a field", text);
    const std::string& name = headers[lines].first;
    require(text.substr(at).starts_with(name + ":"), "under its name", text);
    at = text.find("\r\n", at) + 2;
  }
  // An absolute target of HTTP/1.0 brings a Host.
  const bool host_added = headers.size() == lines + 1 && headers[lines].first == "Host";
  require(headers.size() == lines || host_added, "each field is a line", text);
}

void check_framing(std::string_view text, const http::Head& head) {
  size_t lengths = 0;
  size_t encodings = 0;
  for (const auto& [name, value] : head.request.headers) {
    require(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos,
            "a value is a line", text);
    encodings += lower(name) == "transfer-encoding" ? 1 : 0;
    if (lower(name) != "content-length") continue;
    ++lengths;
    require(!value.empty() && value.find_first_not_of("0123456789") == std::string::npos &&
                head.content_bytes == std::strtoull(value.c_str(), nullptr, 10),
            "a length is a number", text);
  }
  require(lengths + encodings <= 1, "one length", text);
  require(lengths == 1 || head.content_bytes == 0, "no length without its field", text);
  require(head.chunked == (encodings == 1), "chunked is told by its field", text);
}

std::string plain(const http::Head& head) {
  std::string path;
  for (const char c : head.request.path) {
    path += c == '/' ? "/" : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  const std::string query = head.request.query.empty() ? "" : "?" + head.request.query;
  std::string out = fmt::format("{} {}{} HTTP/1.1\r\n", head.request.method, path, query);
  for (const auto& [name, value] : head.request.headers)
    out += fmt::format("{}: {}\r\n", name, value);
  return out + "\r\n";
}

void check_plain(const http::Head& head) {
  const std::string written = plain(head);
  http::Head again;
  const auto error = http::parse_head(written, again);
  require(!error, "a plain head is taken", written + (error ? error->detail : ""));
  require(again.request.path == head.request.path && again.request.query == head.request.query &&
              again.request.method == head.request.method &&
              again.request.headers == head.request.headers &&
              again.content_bytes == head.content_bytes && again.chunked == head.chunked &&
              again.keep_alive == head.keep_alive &&
              again.expects_continue == head.expects_continue,
          "and means the same", written);
}

void check_head(std::string_view text) {
  http::Head head;
  if (const auto error = http::parse_head(text, head)) {
    require(error->status >= 400 && !error->detail.empty(), "a refusal has a reason", text);
    return;
  }
  require(head.request.path.starts_with('/') || head.request.path == "*", "a path", text);
  check_lines(text, head);
  check_framing(text, head);
  if (head.request.path == "*" || !text.substr(0, text.find("\r\n")).ends_with(" HTTP/1.1")) return;
  check_plain(head);
}

struct Outcome {
  int refused = 0;
  bool done = false;
  size_t used = 0;
  std::string bytes;
};

// As the connection does it: what was not used comes again in front of what follows.
Outcome take(std::string_view coded, size_t piece, size_t bytes_max = kBodyBytesMax) {
  http::ChunkedBody body(bytes_max);
  Outcome out;
  std::string pending;
  for (size_t at = 0; at < coded.size() && !body.done();) {
    const std::string_view more = coded.substr(at, piece);
    at += more.size();
    pending += more;
    size_t used = 1;
    while (used > 0 && !pending.empty() && !body.done()) {
      if (const auto error = body.take(pending, used)) {
        out.refused = error->status;
        return out;
      }
      require(used <= pending.size(), "no more than there is is used");
      pending.erase(0, used);
      out.used += used;
    }
  }
  out.done = body.done();
  out.bytes = body.bytes();
  require(out.bytes.size() <= bytes_max, "no more than is allowed");
  return out;
}

void check_pieces(std::string_view coded) {
  const Outcome whole = take(coded, coded.size());
  const Outcome bytewise = take(coded, 1);
  require(whole.done == bytewise.done, "the end is the same however it comes", coded);
  // What can't end any more is refused sooner or later, and why depends on the pieces: the library
  // looks for a quotation mark behind its line, and counts the chunk again each time it does.
  if (!whole.done) return;
  require(whole.bytes == bytewise.bytes && whole.used == bytewise.used, "and the body too", coded);
}

// `body` in chunks of sizes that it names itself, and a next request behind it.
void check_coded(std::string_view body) {
  std::string coded;
  for (size_t at = 0; at < body.size();) {
    const std::string_view chunk = body.substr(at, 1 + static_cast<unsigned char>(body[at]));
    fmt::format_to(std::back_inserter(coded), "{:x}\r\n{}\r\n", chunk.size(), chunk);
    at += chunk.size();
  }
  coded += "0\r\n\r\n";
  const Outcome back = take(coded + "GET / HTTP/1.1\r\n", 1000, body.size());
  require(back.done && back.bytes == body, "what was coded comes back", coded);
  require(back.used == coded.size(), "the next request is left alone", coded);
  if (body.empty()) return;
  require(take(coded, coded.size(), body.size() - 1).refused == 413, "the limit holds", coded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = text_of(data, size);
  const size_t end = text.find("\r\n\r\n");
  const size_t head_bytes = end == std::string_view::npos ? 0 : end + 4;
  if (head_bytes > 0) check_head(text.substr(0, head_bytes));
  check_pieces(text.substr(head_bytes));
  check_coded(text.substr(head_bytes));
  return 0;
}
