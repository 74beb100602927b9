// A client that sends bytes as they are, for tests of the server.
#pragma once

#include <cstdint>
#include <string>

namespace ca4::http {

class TestClient {
 public:
  explicit TestClient(uint16_t port);
  ~TestClient();
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  // False when the server has closed.
  bool send(const std::string& bytes);
  void end_sending();
  // Hangs up so that the server can't take it for the end of what is sent.
  void reset();
  // One whole response with its body as Content-Length says; what came when the connection ended or
  // nothing more came for five seconds. Bodies of HEAD: `head_only`.
  std::string response(bool head_only = false);
  // All that comes until the server closes.
  std::string everything();
  // Whether the server closes within five seconds; reads and drops what comes before.
  bool closed_by_server();

 private:
  bool read_more();

  int fd_;
  std::string pending_;
};

}  // namespace ca4::http
