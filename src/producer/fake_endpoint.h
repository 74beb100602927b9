// A processor of a few lines over a real socket, for tests: answers what it is told to.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace ca4::producer {

struct FakeRequest {
  std::string head;  // request line and headers
  std::string body;
};

// HTTP/1.1 on 127.0.0.1 and a free port; a thread a connection. `answer` gives the whole response,
// status line and all; an empty one closes the connection without a word. Called from several
// threads at once.
class FakeEndpoint {
 public:
  using Answer = std::function<std::string(const FakeRequest&)>;
  explicit FakeEndpoint(Answer answer);
  ~FakeEndpoint();

  std::string url() const;
  // Of everything that came, in the order it came.
  std::vector<FakeRequest> requests() const;

  static std::string response(int status, const std::string& body, const std::string& headers = "");

 private:
  void accept_connections();
  void serve(int fd);

  Answer answer_;
  int listener_ = -1;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<FakeRequest> requests_;
  std::vector<int> open_;
  std::vector<std::thread> connections_;
  std::thread acceptor_;
};

}  // namespace ca4::producer
