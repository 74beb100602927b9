#include "http/request_head.h"

#include <fmt/format.h>

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

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

// The path of an absolute-form target ("http://host/path"), as a proxy sends it.
std::string_view origin_form(std::string_view target) {
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == std::string_view::npos) return target;
  const size_t path = target.find('/', scheme + 3);
  return path == std::string_view::npos ? "/" : target.substr(path);
}

std::optional<HeadError> take_target(std::string_view target, Request& request) {
  target = origin_form(target);
  const size_t question = target.find('?');
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  if (!percent_decode(target.substr(0, question), request.path)) {
    return HeadError{400, "the request target has a bad percent-encoding"};
  }
  return std::nullopt;
}

std::optional<HeadError> take_framing(
    const beast::http::request_parser<beast::http::string_body>& parser,
    const beast::http::fields& fields, Head& out) {
  using beast::http::field;
  const auto encodings = fields.equal_range(field::transfer_encoding);
  const auto lengths = fields.equal_range(field::content_length);
  if (encodings.first != encodings.second) {
    if (lengths.first != lengths.second) {
      return HeadError{400, "Content-Length beside Transfer-Encoding"};
    }
    const bool one = std::next(encodings.first) == encodings.second;
    if (!one || !same_ignoring_case(view(encodings.first->value()), "chunked")) {
      return HeadError{501, "the only transfer coding is chunked"};
    }
    out.chunked = true;
  } else if (lengths.first != lengths.second) {
    if (std::next(lengths.first) != lengths.second) {
      return HeadError{400, "more than one Content-Length"};
    }
    out.content_bytes = parser.content_length().value_or(0);
  }
  return std::nullopt;
}

// RFC 9110 section 10.1.1: an HTTP/1.0 client knows no interim answers; what it expects is ignored.
std::optional<HeadError> take_expectation(const beast::http::fields& fields, unsigned version,
                                          Head& out) {
  const auto expect = fields.find(beast::http::field::expect);
  if (expect == fields.end() || version == 10) return std::nullopt;
  if (!same_ignoring_case(view(expect->value()), "100-continue")) {
    return HeadError{417, "the only expectation is 100-continue"};
  }
  out.expects_continue = true;
  return std::nullopt;
}

}  // namespace

std::optional<HeadError> parse_head(std::string_view text, Head& out) {
  if (text.find("\n ") != std::string_view::npos || text.find("\n\t") != std::string_view::npos) {
    return HeadError{400, "a header is folded over lines"};
  }
  beast::http::request_parser<beast::http::string_body> parser;
  parser.header_limit(static_cast<uint32_t>(text.size() + 1));
  parser.body_limit(boost::none);  // the server's to judge
  beast::error_code error;
  parser.put(boost::asio::buffer(text.data(), text.size()), error);
  if (error || !parser.is_header_done()) {
    return HeadError{400, fmt::format("not an HTTP/1.1 request: {}", error.message())};
  }
  const auto& message = parser.get();
  if (message.version() != 10 && message.version() != 11) {
    return HeadError{505, "the only versions are HTTP/1.1 and HTTP/1.0"};
  }
  out.keep_alive = message.keep_alive();
  out.request.method = view(message.method_string());
  const auto hosts = message.equal_range(beast::http::field::host);
  const auto host_count = std::distance(hosts.first, hosts.second);
  if (host_count > 1 || (host_count == 0 && message.version() == 11)) {
    return HeadError{400, "exactly one Host header is needed"};
  }
  if (message.version() == 10 && message.count(beast::http::field::transfer_encoding) > 0) {
    return HeadError{400, "Transfer-Encoding in HTTP/1.0"};
  }
  for (const auto& field : message) {
    out.request.headers.emplace_back(view(field.name_string()), view(field.value()));
  }
  if (auto error_target = take_target(view(message.target()), out.request)) return error_target;
  if (auto error_framing = take_framing(parser, message, out)) return error_framing;
  return take_expectation(message, message.version(), out);
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
