#include "tunnel/probe.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

namespace ca4::tunnel {
namespace {

using Kind = Answer::Kind;

constexpr size_t kStatusLineBytesMax = 1024;

Answer failed(int error) {
  if (error == ECONNREFUSED) return {Kind::kNoEntry, "nothing listens on the local port", 0};
  if (error == EAGAIN || error == EWOULDBLOCK || error == EINPROGRESS || error == ETIMEDOUT) {
    return {Kind::kSilent, "no answer in time", 0};
  }
  if (error == 0 || error == ECONNRESET || error == EPIPE) {
    return {Kind::kCutOff, "the connection was closed without an answer", 0};
  }
  return {Kind::kUnwell, std::strerror(error), 0};
}

// A connection to a local port, with a limit on each wait. Reading and writing end the question
// with the Answer they return.
class Line {
 public:
  virtual ~Line() {
    if (fd_ >= 0) ::close(fd_);
  }
  Line() = default;
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  std::optional<Answer> connect(uint16_t port, int64_t timeout_ms) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0) return failed(errno);
    const timeval limit{.tv_sec = timeout_ms / 1000, .tv_usec = (timeout_ms % 1000) * 1000};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);  // for connect, too
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      return failed(errno);
    }
    return std::nullopt;
  }

  virtual std::optional<Answer> send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return failed(errno);
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return std::nullopt;
  }

  // At least one byte, at most `bytes_max`, behind `into`.
  virtual std::optional<Answer> receive(std::string& into, size_t bytes_max) {
    const size_t before = into.size();
    into.resize(before + bytes_max);
    const ssize_t got = ::recv(fd_, into.data() + before, bytes_max, 0);
    into.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got > 0) return std::nullopt;
    return failed(got == 0 ? 0 : errno);
  }

  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// The same inside TLS. Any certificate will do: the question is whether somebody is there.
class TlsLine final : public Line {
 public:
  std::optional<Answer> handshake() {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    ssl_.reset(context_ ? SSL_new(context_.get()) : nullptr);
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), fd()) != 1) {
      return Answer{Kind::kUnwell, "OpenSSL can't start", 0};
    }
    const int code = SSL_connect(ssl_.get());
    return code == 1 ? std::nullopt : std::optional(tls_failed(code, "no TLS handshake: "));
  }

  std::optional<Answer> send(std::string_view bytes) override {
    const int code = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    return code > 0 ? std::nullopt : std::optional(tls_failed(code, ""));
  }

  std::optional<Answer> receive(std::string& into, size_t bytes_max) override {
    const size_t before = into.size();
    into.resize(before + bytes_max);
    const int code = SSL_read(ssl_.get(), into.data() + before, static_cast<int>(bytes_max));
    into.resize(before + static_cast<size_t>(std::max(code, 0)));
    return code > 0 ? std::nullopt : std::optional(tls_failed(code, ""));
  }

 private:
  Answer tls_failed(int code, std::string_view doing) {
    const int system = errno;
    const int kind = SSL_get_error(ssl_.get(), code);
    const unsigned long why = ERR_get_error();
    ERR_clear_error();
    const bool ended = ERR_GET_REASON(why) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    if (ended || kind == SSL_ERROR_ZERO_RETURN) return failed(0);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return failed(EAGAIN);
    if (kind == SSL_ERROR_SYSCALL) return failed(system);
    const char* reason = ERR_reason_error_string(why);
    return {Kind::kUnwell, fmt::format("{}{}", doing, reason == nullptr ? "failed" : reason), 0};
  }

  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<SSL, Free> ssl_;
};

std::string big_endian(uint32_t number, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(number >> (8 * i)));
  return out;
}

uint32_t read_big_endian(std::string_view bytes) {
  uint32_t number = 0;
  for (const char c : bytes) number = (number << 8U) | static_cast<unsigned char>(c);
  return number;
}

// Kafka protocol guide, "ApiVersions" (key 18), version 0, which every broker answers, before any
// authentication: a size, the header (key, version, correlation id, client id), no body.
constexpr uint32_t kCorrelation = 0xCA4;

std::string api_versions_request() {
  constexpr std::string_view kClient = "ca4-tunnel";
  std::string request = big_endian(18, 2) + big_endian(0, 2) + big_endian(kCorrelation, 4) +
                        big_endian(kClient.size(), 2) + std::string(kClient);
  return big_endian(static_cast<uint32_t>(request.size()), 4) + request;
}

// The answer: a size, the correlation id, an error code, and how many requests the broker knows.
Answer ask_kafka(Line& line) {
  constexpr size_t kHeadBytes = 14;
  if (auto over = line.send(api_versions_request())) return *over;
  std::string head;
  while (head.size() < kHeadBytes) {
    if (auto over = line.receive(head, kHeadBytes - head.size())) return *over;
  }
  const std::string_view bytes = head;
  if (read_big_endian(bytes.substr(4, 4)) != kCorrelation) {
    return {Kind::kUnwell, "what answers there is no Kafka broker", 0};
  }
  const uint32_t error = read_big_endian(bytes.substr(8, 2));
  if (error != 0) return {Kind::kUnwell, fmt::format("Kafka's error code {}", error), 0};
  return {Kind::kHealthy, "Kafka answers", 0};
}

// RFC 9112: "HTTP/1.1 200 OK". A status of 401 or 403 comes from a server that is well and wants a
// credential, which a probe does not have.
Answer ask_http(Line& line, const config::Forward& forward) {
  const std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: ca4-tunnel\r\nConnection: close\r\n\r\n",
      forward.path, forward.target());
  if (auto over = line.send(request)) return *over;
  std::string head;
  while (head.find('\n') == std::string::npos && head.size() < kStatusLineBytesMax) {
    if (auto over = line.receive(head, kStatusLineBytesMax - head.size())) return *over;
  }
  int status = 0;
  const size_t space = head.find(' ');
  if (head.starts_with("HTTP/1.") && space + 4 <= head.size()) {
    std::from_chars(head.data() + space + 1, head.data() + space + 4, status);
  }
  if (status == 0) return {Kind::kUnwell, "what answers there is no HTTP server", 0};
  const std::string said = fmt::format("GET {} answers {}", forward.path, status);
  return {status < 500 ? Kind::kHealthy : Kind::kUnwell, said, 0};
}

// ssh closes the connection as soon as the bastion says that it can't reach the target.
Answer ask_tcp(Line& line, int64_t timeout_ms) {
  // Long enough for the bastion's word from the far side of the world.
  constexpr int64_t kSettleMs = 400;
  pollfd waiting{.fd = line.fd(), .events = POLLIN, .revents = 0};
  if (::poll(&waiting, 1, static_cast<int>(std::min(kSettleMs, timeout_ms))) == 0) {
    return {Kind::kHealthy, "the connection holds", 0};
  }
  std::string greeting;
  if (auto over = line.receive(greeting, 1)) return *over;
  return {Kind::kHealthy, "it answers", 0};
}

Answer ask(const config::Forward& forward, int64_t timeout_ms) {
  using config::Probe;
  if (forward.probe == Probe::kTls || forward.probe == Probe::kHttps) {
    TlsLine line;
    if (auto over = line.connect(forward.local_port, timeout_ms)) return *over;
    if (auto over = line.handshake()) return *over;
    if (forward.probe == Probe::kTls) return {Kind::kHealthy, "TLS answers", 0};
    return ask_http(line, forward);
  }
  Line line;
  if (auto over = line.connect(forward.local_port, timeout_ms)) return *over;
  if (forward.probe == Probe::kKafka) return ask_kafka(line);
  if (forward.probe == Probe::kHttp) return ask_http(line, forward);
  return ask_tcp(line, timeout_ms);
}

}  // namespace

Answer ask_through(const config::Forward& forward, int64_t timeout_ms) {
  using namespace std::chrono;
  const auto began = steady_clock::now();
  Answer answer = ask(forward, timeout_ms);
  answer.took_us = duration_cast<microseconds>(steady_clock::now() - began).count();
  return answer;
}

}  // namespace ca4::tunnel
