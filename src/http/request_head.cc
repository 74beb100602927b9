#include "http/request_head.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <vector>

namespace ca4::http {
namespace {

namespace beast = boost::beast;

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// False when a percent sign is not followed by two hex digits, or stands for a NUL.
bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_digit(text[i + 1]);
    const int low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0 || high + low == 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

bool is_one_of(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kAddress = "0123456789abcdefABCDEF:.";
constexpr std::string_view kName =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%!$&'()*+,;=";

// RFC 9110 section 7.2: a host of RFC 3986 and perhaps a port; empty where there is none.
bool is_host(std::string_view text) {
  size_t end = std::min(text.find(':'), text.size());
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos || !is_one_of(text.substr(1, end - 1), kAddress)) {
      return false;
    }
    ++end;
  } else if (!is_one_of(text.substr(0, end), kName)) {
    return false;
  }
  const std::string_view port = text.substr(end);
  return port.empty() || (port.front() == ':' && is_one_of(port.substr(1), kDigits));
}

// RFC 9112 section 3.2.2: what an absolute-form target says stands above the Host header.
void set_host(Request& request, std::string_view authority) {
  for (auto& [name, value] : request.headers) {
    if (same_ignoring_case(name, "Host")) {
      value = authority;
      return;
    }
  }
  request.headers.emplace_back("Host", authority);
}

// RFC 9112 section 3.2: a path; a URL, as a proxy is asked for it; or "*" for OPTIONS.
std::optional<HeadError> take_target(std::string_view target, Request& request) {
  const auto bad = [] {
    return HeadError{400, "the request target is neither a path nor an http URL"};
  };
  if (target == "*" && request.method == "OPTIONS") {
    request.path = target;
    return std::nullopt;
  }
  std::string_view path = target;
  if (!target.starts_with('/')) {
    const size_t scheme = target.find("://");
    if (scheme == std::string_view::npos ||
        (!same_ignoring_case(target.substr(0, scheme), "http") &&
         !same_ignoring_case(target.substr(0, scheme), "https"))) {
      return bad();
    }
    const std::string_view rest = target.substr(scheme + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    if (authority.empty() || !is_host(authority)) return bad();
    set_host(request, authority);
    path = rest.substr(authority.size());
  }
  if (path.find('#') != std::string_view::npos) return bad();
  const size_t question = path.find('?');
  if (question != std::string_view::npos) request.query = path.substr(question + 1);
  path = path.substr(0, question);
  if (!percent_decode(path.empty() ? "/" : path, request.path)) {
    return HeadError{400, "the request target has a bad percent-encoding"};
  }
  return std::nullopt;
}

// What curl or a browser sends, and a few more.
constexpr size_t kHeadersUsual = 16;

// Takes the fields as the library finds them, without its own container, which costs an allocation
// a field. Views are of the text that is parsed.
class HeadParser final : public beast::http::basic_parser<true> {
 public:
  explicit HeadParser(Request& request) : request_(request) {
    request_.headers.reserve(kHeadersUsual);
  }

  int version = 0;
  std::string_view target;
  size_t hosts = 0;
  std::string_view host;
  size_t lengths = 0;
  std::string_view length;
  std::vector<std::string_view> encodings;
  std::optional<std::string_view> expectation;

 private:
  using Error = beast::error_code;
  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view where,
                       int which, Error&) override {
    request_.method = view(method);
    target = view(where);
    version = which;
  }
  void on_field_impl(beast::http::field field, beast::string_view name, beast::string_view value,
                     Error&) override {
    request_.headers.emplace_back(view(name), view(value));
    if (field == beast::http::field::host) {
      ++hosts;
      host = view(value);
    }
    if (field == beast::http::field::content_length) {
      ++lengths;
      length = view(value);
    }
    if (field == beast::http::field::transfer_encoding) encodings.push_back(view(value));
    if (field == beast::http::field::expect && !expectation) expectation = view(value);
  }
  void on_header_impl(Error&) override {}
  // Never called: this is a request, and nothing behind the head is given to the parser.
  void on_response_impl(int, beast::string_view, int, Error&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
  size_t on_body_impl(beast::string_view text, Error&) override { return text.size(); }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, Error&) override {}
  size_t on_chunk_body_impl(std::uint64_t, beast::string_view text, Error&) override {
    return text.size();
  }
  void on_finish_impl(Error&) override {}

  Request& request_;
};

// The last chunk, before which no body ends. Asked again about the beginning of one that is
// shorter, the library ends the program where it was built with assertions.
constexpr size_t kLastChunkBytes = std::string_view("0\r\n\r\n").size();

std::optional<HeadError> take_framing(const HeadParser& parser, Head& out) {
  if (!parser.encodings.empty()) {
    if (parser.version == 10) return HeadError{400, "Transfer-Encoding in HTTP/1.0"};
    if (parser.lengths > 0) return HeadError{400, "Content-Length beside Transfer-Encoding"};
    if (parser.encodings.size() > 1 || !same_ignoring_case(parser.encodings[0], "chunked")) {
      return HeadError{501, "the only transfer coding is chunked"};
    }
    out.chunked = true;
  } else if (parser.lengths > 0) {
    // The library takes a list of equal ones, of which others may take the first or none.
    if (parser.lengths > 1 || !is_one_of(parser.length, kDigits)) {
      return HeadError{400, "more than one Content-Length"};
    }
    out.content_bytes = parser.content_length().value_or(0);
  }
  return std::nullopt;
}

}  // namespace

std::optional<HeadError> parse_head(std::string_view text, Head& out) {
  if (text.find("\n ") != std::string_view::npos || text.find("\n\t") != std::string_view::npos) {
    return HeadError{400, "a header is folded over lines"};
  }
  HeadParser parser(out.request);
  parser.header_limit(static_cast<uint32_t>(text.size() + 1));
  parser.body_limit(boost::none);  // the server's to judge
  beast::error_code error;
  parser.put(boost::asio::buffer(text.data(), text.size()), error);
  if (error || !parser.is_header_done()) {
    return HeadError{400, fmt::format("not an HTTP/1.1 request: {}", error.message())};
  }
  if (parser.version != 10 && parser.version != 11) {
    return HeadError{505, "the only versions are HTTP/1.1 and HTTP/1.0"};
  }
  out.keep_alive = parser.keep_alive();
  if (parser.hosts > 1 || (parser.hosts == 0 && parser.version == 11)) {
    return HeadError{400, "exactly one Host header is needed"};
  }
  if (!is_host(parser.host)) return HeadError{400, "the Host header is no host"};
  if (auto bad_target = take_target(parser.target, out.request)) return bad_target;
  if (auto bad_framing = take_framing(parser, out)) return bad_framing;
  // RFC 9110 section 10.1.1: an HTTP/1.0 client knows no interim answers; what it expects is
  // ignored.
  if (!parser.expectation || parser.version == 10) return std::nullopt;
  if (!same_ignoring_case(*parser.expectation, "100-continue")) {
    return HeadError{417, "the only expectation is 100-continue"};
  }
  out.expects_continue = true;
  return std::nullopt;
}

struct ChunkedBody::Impl {
  beast::http::request_parser<beast::http::string_body> parser;
};

ChunkedBody::ChunkedBody(size_t bytes_max) : impl_(std::make_unique<Impl>()) {
  impl_->parser.body_limit(bytes_max);
  impl_->parser.eager(true);
  // The library decodes bodies behind a head; the real one was parsed already.
  constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  beast::error_code error;
  impl_->parser.put(boost::asio::buffer(kHead.data(), kHead.size()), error);
}

ChunkedBody::~ChunkedBody() = default;

std::optional<HeadError> ChunkedBody::take(std::string_view coded, size_t& used) {
  used = 0;
  if (coded.size() < kLastChunkBytes) return std::nullopt;
  beast::error_code error;
  used = impl_->parser.put(boost::asio::buffer(coded.data(), coded.size()), error);
  if (!error || error == beast::http::error::need_more) return std::nullopt;
  if (error == beast::http::error::body_limit) {
    return HeadError{413, "the body is larger than this server takes"};
  }
  return HeadError{400, fmt::format("bad chunked coding: {}", error.message())};
}

bool ChunkedBody::done() const {
  return impl_->parser.is_done();
}

const std::string& ChunkedBody::bytes() const {
  return impl_->parser.get().body();
}

}  // namespace ca4::http
