#include "tunnel/probe.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

namespace ca4::tunnel {
namespace {

using Kind = Answer::Kind;
using config::Probe;

// Takes one connection, reads what comes first, answers, and hangs up; or holds it.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer, bool hold = false) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answer = std::move(answer), hold] { serve(answer, hold); });
  }
  ~OneAnswer() {
    thread_.join();
    close(listener_);
  }
  uint16_t port() const { return port_; }
  std::string asked;  // read after the answer

 private:
  void serve(const std::string& answer, bool hold) {
    const int fd = accept(listener_, nullptr, nullptr);
    char bytes[4096];
    if (!answer.empty()) {
      const ssize_t got = recv(fd, bytes, sizeof bytes, 0);
      asked.assign(bytes, static_cast<size_t>(std::max<ssize_t>(got, 0)));
      send(fd, answer.data(), answer.size(), MSG_NOSIGNAL);
    }
    while (hold && recv(fd, bytes, sizeof bytes, 0) > 0) {
    }
    close(fd);
  }

  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

Answer ask(uint16_t port, Probe probe, int64_t timeout_ms = 20'000) {
  return ask_through(
      {.local_port = port, .host = "far", .port = 9, .probe = probe, .path = "/livez"}, timeout_ms);
}

std::string bytes(std::initializer_list<int> numbers) {
  std::string out;
  for (const int number : numbers) out.push_back(static_cast<char>(number));
  return out;
}

TEST(Probe, NobodyListens) {
  uint16_t port = 0;
  {
    const OneAnswer gone("x");
    port = gone.port();
    (void)ask(port, Probe::kHttp);
  }
  for (const Probe probe : {Probe::kKafka, Probe::kHttp, Probe::kHttps, Probe::kTls, Probe::kTcp}) {
    EXPECT_EQ(ask(port, probe).kind, Kind::kNoEntry);
  }
}

TEST(Probe, AcceptedAndClosedIsAFarSideThatIsNotThere) {
  signal(SIGPIPE, SIG_IGN);
  for (const Probe probe : {Probe::kKafka, Probe::kHttp, Probe::kHttps, Probe::kTls, Probe::kTcp}) {
    const OneAnswer closes("");
    EXPECT_EQ(ask(closes.port(), probe).kind, Kind::kCutOff);
  }
}

TEST(Probe, NoAnswerInTimeIsSilence) {
  for (const Probe probe : {Probe::kKafka, Probe::kHttp, Probe::kHttps, Probe::kTls}) {
    const OneAnswer silent("", true);
    EXPECT_EQ(ask(silent.port(), probe, 100).kind, Kind::kSilent);
  }
  const OneAnswer silent("", true);
  EXPECT_EQ(ask(silent.port(), Probe::kTcp, 100).kind, Kind::kHealthy);
}

// The bytes of an ApiVersions answer, version 0, as the Kafka protocol guide has them.
TEST(Probe, ABrokersAnswerIsHealthy) {
  OneAnswer broker(bytes({0, 0, 0, 16, 0, 0, 0x0C, 0xA4, 0, 0, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4}));
  EXPECT_EQ(ask(broker.port(), Probe::kKafka).kind, Kind::kHealthy);
}

TEST(Probe, AnAnswerThatIsNoKafkasIsUnwell) {
  const OneAnswer http("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(ask(http.port(), Probe::kKafka).kind, Kind::kUnwell);
  const OneAnswer refuses(bytes({0, 0, 0, 10, 0, 0, 0x0C, 0xA4, 0, 35, 0, 0, 0, 0}));
  const Answer answer = ask(refuses.port(), Probe::kKafka);
  EXPECT_EQ(answer.kind, Kind::kUnwell);
  EXPECT_EQ(answer.detail, "Kafka's error code 35");
}

TEST(Probe, HttpIsHealthyUnlessItFails) {
  const auto kind = [](const std::string& status) {
    OneAnswer server("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n");
    const Answer answer = ask(server.port(), Probe::kHttp);
    EXPECT_EQ(answer.detail, "GET /livez answers " + status.substr(0, 3));
    return answer.kind;
  };
  EXPECT_EQ(kind("200 OK"), Kind::kHealthy);
  EXPECT_EQ(kind("401 Unauthorized"), Kind::kHealthy);
  EXPECT_EQ(kind("500 Internal Server Error"), Kind::kUnwell);
  EXPECT_EQ(kind("503 Service Unavailable"), Kind::kUnwell);
  for (const char* no_http : {"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1\n", "HTTP/1.1 2\n", "\n"}) {
    const OneAnswer other(no_http);
    EXPECT_EQ(ask(other.port(), Probe::kHttp).kind, Kind::kUnwell) << no_http;
  }
}

TEST(Probe, TheRequestIsOneOfAnOrdinaryClient) {
  OneAnswer server("HTTP/1.1 200 OK\r\n\r\n");
  (void)ask(server.port(), Probe::kHttp);
  EXPECT_EQ(server.asked,
            "GET /livez HTTP/1.1\r\nHost: far:9\r\nUser-Agent: ca4-tunnel\r\nConnection: "
            "close\r\n\r\n");
}

TEST(Probe, PlainTextWhereTlsIsExpectedIsUnwell) {
  const OneAnswer plain("HTTP/1.1 400 Bad Request\r\n\r\n");
  const Answer answer = ask(plain.port(), Probe::kHttps);
  EXPECT_EQ(answer.kind, Kind::kUnwell);
  EXPECT_THAT(answer.detail, testing::StartsWith("no TLS handshake: "));
}

}  // namespace
}  // namespace ca4::tunnel
