#include "producer/fake_endpoint.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace ca4::producer {
namespace {

size_t content_length(const std::string& head) {
  const std::string name = "\r\nContent-Length: ";
  const size_t at = head.find(name);
  return at == std::string::npos ? 0 : std::stoul(head.substr(at + name.size()));
}

// Takes the next whole request off `pending`, reading more as needed. False at the end.
bool read_request(int fd, std::string& pending, FakeRequest& out) {
  std::array<char, 16'384> piece{};
  size_t wanted = std::string::npos;
  while (true) {
    const size_t end = pending.find("\r\n\r\n");
    if (end != std::string::npos) {
      wanted = end + 4 + content_length(pending.substr(0, end));
      if (pending.size() >= wanted) {
        out = {pending.substr(0, end), pending.substr(end + 4, wanted - end - 4)};
        pending.erase(0, wanted);
        return true;
      }
    }
    const ssize_t count = ::recv(fd, piece.data(), piece.size(), 0);
    if (count <= 0) return false;
    pending.append(piece.data(), static_cast<size_t>(count));
  }
}

}  // namespace

FakeEndpoint::FakeEndpoint(Answer answer) : answer_(std::move(answer)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener_, generic, length), 0);
  EXPECT_EQ(::listen(listener_, 64), 0);
  ::getsockname(listener_, generic, &length);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_connections(); });
}

FakeEndpoint::~FakeEndpoint() {
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    const std::scoped_lock lock(mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  for (std::thread& connection : connections_) connection.join();
  for (const int fd : open_) ::close(fd);
  ::close(listener_);
}

std::string FakeEndpoint::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::vector<FakeRequest> FakeEndpoint::requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

std::string FakeEndpoint::response(int status, const std::string& body,
                                   const std::string& headers) {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(),
                     headers, body);
}

void FakeEndpoint::accept_connections() {
  while (true) {
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (fd < 0) return;
    const std::scoped_lock lock(mutex_);
    open_.push_back(fd);
    connections_.emplace_back([this, fd] { serve(fd); });
  }
}

void FakeEndpoint::serve(int fd) {
  std::string pending;
  for (FakeRequest request; read_request(fd, pending, request);) {
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back(request);
    }
    const std::string answer = answer_(request);
    if (answer.empty() || ::send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) !=
                              static_cast<ssize_t>(answer.size())) {
      break;
    }
  }
  ::shutdown(fd, SHUT_RDWR);
}

}  // namespace ca4::producer
