#include "http/test_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <utility>

namespace ca4::http {

TestClient::TestClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const timeval limit{5, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

TestClient::~TestClient() {
  ::close(fd_);
}

bool TestClient::send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

void TestClient::end_sending() {
  ::shutdown(fd_, SHUT_WR);
}

void TestClient::reset() {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::close(std::exchange(fd_, -1));
}

bool TestClient::read_more() {
  std::array<char, 16'384> piece{};
  const ssize_t count = ::recv(fd_, piece.data(), piece.size(), 0);
  if (count <= 0) return false;
  pending_.append(piece.data(), static_cast<size_t>(count));
  return true;
}

std::string TestClient::response(bool head_only) {
  size_t end = pending_.find("\r\n\r\n");
  while (end == std::string::npos && read_more()) end = pending_.find("\r\n\r\n");
  if (end == std::string::npos) return std::exchange(pending_, {});
  // Read once: a sanitizer makes a pass over 32 MB for every piece of them cost minutes.
  const std::string name = "\r\nContent-Length: ";
  const size_t at = pending_.find(name);
  const bool has_length = at < end && !head_only;
  const size_t length = has_length ? std::stoul(pending_.substr(at + name.size(), 20)) : 0;
  const size_t wanted = end + 4 + length;
  while (pending_.size() < wanted && read_more()) {
  }
  const std::string whole = pending_.substr(0, wanted);
  pending_.erase(0, whole.size());
  return whole;
}

std::string TestClient::everything() {
  while (read_more()) {
  }
  return std::exchange(pending_, {});
}

bool TestClient::closed_by_server() {
  std::array<char, 16'384> piece{};
  while (true) {
    const ssize_t count = ::recv(fd_, piece.data(), piece.size(), 0);
    if (count == 0) return true;
    if (count < 0) return errno == ECONNRESET;
  }
}

}  // namespace ca4::http
