#include "http/server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <thread>

#include "http/test_client.h"

namespace ca4::http {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr int64_t kGraceMs = 5'000;
// More than the socket buffers of both ends hold, so that it takes several writes.
constexpr size_t kLargeBytes = 32 << 20;

// Answers with what it was asked; "/later" is answered when the test says so.
class ServerTest : public testing::Test {
 protected:
  void start(ServerOptions options = {}) {
    options.port = 0;
    if (options.threads == 0) options.threads = 2;
    auto server = Server::start(options, [this](Request request, Respond respond) {
      handle(std::move(request), std::move(respond));
    });
    ASSERT_TRUE(server) << server.status().to_string();
    server_ = std::move(*server);
  }

  void handle(Request request, Respond respond) {
    if (request.path == "/drop") return;
    Response response;
    response.content_type = "text/plain";
    response.body = fmt::format("{} {} {}", request.method, request.path, request.body());
    if (request.path == "/slow") std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (request.path == "/large") response.body.assign(kLargeBytes, 'x');
    if (request.path != "/later") return respond(std::move(response));
    const std::lock_guard lock(mutex_);
    later_.emplace_back(std::move(respond), std::move(response));
    changed_.notify_all();
  }

  void await_later(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(5), [&] { return later_.size() >= count; }));
  }

  // Waits until `count` requests wait, then answers them, the last one first, from this thread.
  void answer_later(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(5), [&] { return later_.size() >= count; }));
    answered_at_once_most_ = std::max(answered_at_once_most_, later_.size());
    while (!later_.empty()) {
      later_.back().first(std::move(later_.back().second));
      later_.pop_back();
    }
  }

  static std::string get(const std::string& path) {
    return fmt::format("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", path);
  }
  static std::string post(const std::string& path, const std::string& body) {
    return fmt::format("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", path,
                       body.size(), body);
  }
  // The answer to `request` sent alone over a new connection.
  std::string answer_to(const std::string& request) {
    TestClient client(server_->port());
    client.send(request);
    return client.response();
  }

  // Connects and asks, whether or not somebody listens there; the open connection.
  static int ask(uint16_t port, const std::string& request) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    char byte = 0;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
      (void)::recv(fd, &byte, 1, 0);
    }
    return fd;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<Respond, Response>> later_;
  size_t answered_at_once_most_ = 0;  // by answer_later
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, OneConnectionServesManyRequests) {
  start();
  TestClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    client.send(post("/echo?a=1", fmt::format("body {}", i)));
    EXPECT_THAT(client.response(), HasSubstr(fmt::format("POST /echo body {}", i)));
  }
}

TEST_F(ServerTest, ABodyLargerThanAnyBufferArrivesWhole) {
  start();
  std::string body(3'000'000, 'a');
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  EXPECT_THAT(answer_to(post("/echo", body)), testing::EndsWith("POST /echo " + body));
}

TEST_F(ServerTest, PipelinedAnswersComeInTheOrderOfTheRequests) {
  start();
  TestClient client(server_->port());
  client.send(post("/later", "1") + post("/later", "2") + get("/echo") + post("/later", "3"));
  answer_later(3);
  EXPECT_THAT(client.response(), HasSubstr("POST /later 1"));
  EXPECT_THAT(client.response(), HasSubstr("POST /later 2"));
  EXPECT_THAT(client.response(), HasSubstr("GET /echo"));
  EXPECT_THAT(client.response(), HasSubstr("POST /later 3"));
}

TEST_F(ServerTest, WhatAnotherThreadMayReadIsNotOvertaken) {
  start();
  TestClient client(server_->port());
  const std::string compressed =
      "POST /later HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nz";
  client.send(post("/later", std::string(100'000, 'x')) + compressed + post("/later", "small"));
  for (const char* body : {"xxx", "z", "small"}) {
    // The others are there, and not begun.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    answer_later(1);
    EXPECT_THAT(client.response(), testing::EndsWith(body));
  }
  EXPECT_EQ(answered_at_once_most_, 1U);
}

TEST_F(ServerTest, MorePipelinedRequestsThanAreReadAheadAreAllAnswered) {
  start({.pipeline_max = 4});
  TestClient client(server_->port());
  std::string all;
  for (int i = 0; i < 100; ++i) all += post("/echo", fmt::format("n{}.", i));
  client.send(all);
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(client.response(), HasSubstr(fmt::format("/echo n{}.", i)));
  }
}

TEST_F(ServerTest, AHalfClosedClientStillGetsItsAnswer) {
  start();
  TestClient client(server_->port());
  client.send(post("/later", "x"));
  client.end_sending();
  answer_later(1);
  EXPECT_THAT(client.response(), HasSubstr("POST /later x"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(ServerTest, AHalfClosedClientStillGetsTheRestOfAnAnswerThatIsBeingWritten) {
  start();
  TestClient client(server_->port());
  client.send(get("/large"));
  client.end_sending();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // the server reads the end
  EXPECT_GT(client.response().size(), kLargeBytes);
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(ServerTest, ChunkedBodiesArriveWhole) {
  start();
  EXPECT_THAT(answer_to("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n"),
              HasSubstr("POST /echo hello world"));
}

TEST_F(ServerTest, AClientThatAsksIsToldToContinue) {
  start();
  TestClient client(server_->port());
  client.send(
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.response(), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("ok");
  EXPECT_THAT(client.response(), HasSubstr("POST /echo ok"));
}

TEST_F(ServerTest, HeadGetsTheLengthAndNoBody) {
  start();
  TestClient client(server_->port());
  client.send("HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n" + get("/next"));
  EXPECT_THAT(client.response(true), HasSubstr("Content-Length: 11"));
  EXPECT_THAT(client.response(), HasSubstr("GET /next"));
}

TEST_F(ServerTest, TooMuchIsRefusedBeforeItIsRead) {
  std::vector<int> refused;
  std::mutex mutex;
  start({.header_bytes_max = 1024, .body_bytes_max = 100, .refused = [&](int status) {
           const std::lock_guard lock(mutex);
           refused.push_back(status);
         }});
  EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(answer_to("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" +
                        std::string(101, 'x') + "\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(answer_to("GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(1024, 'x')),
              StartsWith("HTTP/1.1 431"));
  const std::lock_guard lock(mutex);
  EXPECT_EQ(refused, (std::vector<int>{413, 413, 431}));
}

TEST_F(ServerTest, ARefusedHeadIsAnsweredWithoutABody) {
  start({.header_bytes_max = 1024, .body_bytes_max = 100});
  for (const std::string& rest :
       {std::string("Host: x\r\nContent-Length: 101\r\n\r\n"), std::string("\r\n"),
        std::string("A : b\r\n\r\n"), "A: " + std::string(1024, 'x')}) {
    TestClient client(server_->port());
    client.send("HEAD / HTTP/1.1\r\n" + rest);
    client.end_sending();
    EXPECT_THAT(client.everything(), testing::AllOf(StartsWith("HTTP/1.1 4"), HasSubstr("Length:"),
                                                    testing::EndsWith("\r\n\r\n")));
  }
}

TEST_F(ServerTest, ARefusedClientThatGoesOnSendingSeesTheAnswer) {
  start({.body_bytes_max = 100});
  TestClient client(server_->port());
  client.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
  client.send(std::string(4'000'000, 'x'));
  EXPECT_THAT(client.response(), StartsWith("HTTP/1.1 413"));
}

TEST_F(ServerTest, WhatTwoParsersMayReadDifferentlyIsRefused) {
  start();
  const std::string begin = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  for (const char* rest :
       {"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "Content-Length: -1\r\n\r\n",
        "Content-Length: 3\r\nA: b\r\n c: d\r\n\r\nabc", "Content-Length : 3\r\n\r\nabc",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", "Host: y\r\nContent-Length: 0\r\n\r\n"}) {
    TestClient client(server_->port());
    client.send(begin + rest);
    EXPECT_THAT(client.response(),
                testing::AnyOf(StartsWith("HTTP/1.1 400"), StartsWith("HTTP/1.1 501")))
        << rest;
    EXPECT_TRUE(client.closed_by_server()) << rest;
  }
  EXPECT_THAT(answer_to("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(answer_to("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400"));
}

TEST_F(ServerTest, SlowHeadsAndBodiesEndWith408AndSilentConnectionsEnd) {
  start({.header_timeout_ms = 200, .idle_timeout_ms = 200});
  TestClient head(server_->port());
  TestClient body(server_->port());
  TestClient silent(server_->port());
  head.send("GET / HT");
  body.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
  EXPECT_THAT(head.response(), StartsWith("HTTP/1.1 408"));
  EXPECT_THAT(body.response(), StartsWith("HTTP/1.1 408"));
  EXPECT_TRUE(silent.closed_by_server());
}

TEST_F(ServerTest, ConnectionsOverTheLimitAreTurnedAway) {
  start({.connections_max = 1});
  TestClient first(server_->port());
  first.send(get("/one"));
  EXPECT_THAT(first.response(), HasSubstr("GET /one"));
  TestClient second(server_->port());
  EXPECT_THAT(second.response(),
              testing::AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1")));
  EXPECT_TRUE(second.closed_by_server());
  first.send(get("/two"));
  EXPECT_THAT(first.response(), HasSubstr("GET /two"));
}

TEST_F(ServerTest, BodiesTogetherAreBounded) {
  start({.bodies_bytes_max = 1'000'000});
  TestClient first(server_->port());
  first.send(post("/later", std::string(900'000, 'x')));
  await_later(1);
  const std::string second = answer_to(post("/echo", std::string(200'000, 'y')));
  EXPECT_EQ(second.substr(0, 12), "HTTP/1.1 503");
  answer_later(1);
  EXPECT_THAT(first.response(), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer_to(post("/echo", std::string(200'000, 'z'))), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, ABodyCountsUntilItsAnswerAlsoWhenTheClientHangsUp) {
  start({.bodies_bytes_max = 1'000'000});
  TestClient gone(server_->port());
  gone.send(post("/later", std::string(900'000, 'x')));
  await_later(1);
  gone.reset();
  while (server_->connections() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const std::string body(200'000, 'y');
  EXPECT_THAT(answer_to(post("/echo", body)), StartsWith("HTTP/1.1 503"));
  answer_later(1);
  EXPECT_THAT(answer_to(post("/echo", body)), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, ABodyThatIsOnlyAnnouncedCountsNothing) {
  start({.bodies_bytes_max = 1'000'000});
  std::vector<std::unique_ptr<TestClient>> slow;
  for (int i = 0; i < 30; ++i) {
    slow.push_back(std::make_unique<TestClient>(server_->port()));
    slow.back()->send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nx");
  }
  while (server_->connections() < slow.size())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_THAT(answer_to(post("/echo", std::string(900'000, 'y'))), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServerTest, AChunkedBodyCountsOnce) {
  start({.bodies_bytes_max = 1'000'000});
  TestClient first(server_->port());
  first.send("POST /later HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
             fmt::format("{:x}\r\n{}\r\n0\r\n\r\n", 400'000, std::string(400'000, 'x')));
  await_later(1);
  EXPECT_THAT(answer_to(post("/echo", std::string(400'000, 'y'))), StartsWith("HTTP/1.1 200"));
  answer_later(1);
}

TEST_F(ServerTest, SmallBodiesHaveRoomOfTheirOwn) {
  start({.bodies_bytes_max = 1'000'000});
  TestClient first(server_->port());
  first.send(post("/later", std::string(990'000, 'x')));
  await_later(1);
  EXPECT_THAT(answer_to(post("/echo", std::string(70'000, 'y'))), StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(answer_to(post("/echo", std::string(60'000, 'z'))), StartsWith("HTTP/1.1 200"));
  answer_later(1);
}

TEST_F(ServerTest, WhoStopsInALargeBodyMakesRoomForOthers) {
  start({.bodies_bytes_max = 1'000'000});
  TestClient stalled(server_->port());
  stalled.send(post("/echo", std::string(900'000, 'x')).substr(0, 800'000));
  const std::string body(300'000, 'y');
  // As soon as all of it has come.
  for (int i = 0; i < 1000 && !answer_to(post("/echo", body)).starts_with("HTTP/1.1 503"); ++i) {
  }
  // What was refused before its body was there is read and dropped, and the room is given back.
  EXPECT_THAT(stalled.response(),
              testing::AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1")));
  EXPECT_THAT(answer_to(post("/echo", body)), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(stalled.closed_by_server());
}

TEST_F(ServerTest, NoMoreIsReadForAClientThatReadsNoAnswers) {
  start();
  TestClient client(server_->port());
  client.send(get("/large") + get("/later") + get("/echo"));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(later_.empty());
  }
  EXPECT_GT(client.response().size(), kLargeBytes);
  answer_later(1);
  EXPECT_THAT(client.response(), HasSubstr("GET /later"));
  EXPECT_THAT(client.response(), HasSubstr("GET /echo"));
}

TEST_F(ServerTest, WhoReadsNothingOfLargeAnswersIsClosedWhereThereAreTooMany) {
  start({.answers_bytes_max = kLargeBytes});
  TestClient one(server_->port());
  one.send(get("/large"));
  while (server_->connections() < 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(6'500));
  EXPECT_EQ(server_->connections(), 1U);  // alone it is not too many
  TestClient other(server_->port());
  other.send(get("/large"));
  const auto began = std::chrono::steady_clock::now();
  while (server_->connections() > 1 &&
         std::chrono::steady_clock::now() - began < std::chrono::seconds(30)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_GT(other.response().size(), kLargeBytes);
}

TEST_F(ServerTest, AFloodOverTheLimitIsNotToldWhyOneByOne) {
  start({.connections_max = 1});
  TestClient first(server_->port());
  first.send(get("/one"));
  EXPECT_THAT(first.response(), HasSubstr("GET /one"));
  std::deque<TestClient> flood;
  size_t most = 0;
  for (int i = 0; i < 300; ++i) {
    flood.emplace_back(server_->port());
    most = std::max(most, server_->connections());
  }
  EXPECT_LT(most, 100U);
  size_t told = 0;
  for (TestClient& client : flood) {
    const std::string answer = client.everything();
    if (answer.starts_with("HTTP/1.1 503")) ++told;
  }
  EXPECT_GT(told, 0U);
  EXPECT_LT(told, flood.size());
}

TEST_F(ServerTest, ARequestNobodyAnswersEndsItsConnection) {
  start();
  TestClient client(server_->port());
  client.send(get("/drop"));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(ServerTest, StopFinishesWhatIsInFlightAndEndsIdleConnections) {
  // One loop: when the idle connection has ended, the busy one knows of the stop too.
  start({.threads = 1});
  TestClient idle(server_->port());
  idle.send(get("/once"));
  idle.response();
  TestClient busy(server_->port());
  busy.send(post("/later", "x"));
  await_later(1);
  auto stopped = std::async(std::launch::async, [this] { return server_->stop(kGraceMs); });
  EXPECT_TRUE(idle.closed_by_server());
  answer_later(1);
  EXPECT_THAT(busy.response(),
              testing::AllOf(HasSubstr("POST /later x"), HasSubstr("Connection: close")));
  EXPECT_EQ(stopped.get(), 0U);
}

TEST_F(ServerTest, StopDoesNotWaitForRequestsOfWhichNothingComes) {
  start();
  TestClient head(server_->port());
  head.send("GET /echo HTTP/1.1\r\nHost:");
  TestClient body(server_->port());
  body.send(post("/echo", std::string(100'000, 'x')).substr(0, 90'000));
  TestClient nothing_of_it(server_->port());
  nothing_of_it.send(post("/echo", "xyz").substr(0, post("/echo", "xyz").size() - 3));
  TestClient no_chunk(server_->port());
  no_chunk.send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  while (server_->connections() < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  constexpr int64_t kLongGraceMs = 60'000;
  auto stopped = std::async(std::launch::async, [this] { return server_->stop(kLongGraceMs); });
  for (TestClient* client : {&head, &body, &nothing_of_it, &no_chunk}) {
    EXPECT_THAT(client->response(),
                testing::AllOf(StartsWith("HTTP/1.1 503"), HasSubstr("Retry-After: 1")));
  }
  EXPECT_EQ(stopped.get(), 0U);
}

TEST_F(ServerTest, StopCutsOffWhatTakesTooLongAndLateAnswersGoNowhere) {
  start();
  TestClient busy(server_->port());
  busy.send(post("/later", "x"));
  await_later(1);
  EXPECT_EQ(server_->stop(50), 1U);
  server_.reset();
  answer_later(1);
  EXPECT_TRUE(busy.closed_by_server());
}

// A loop that is busy with a request has the next connection waiting behind it when the stop comes.
TEST_F(ServerTest, StopEndsAlsoWhileClientsConnect) {
  std::atomic<uint16_t> port{0};
  std::atomic<bool> enough{false};
  std::vector<std::thread> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back([&] {
      std::deque<int> open;  // a server must not wait for them to end
      while (!enough) {
        open.push_back(ask(port, get("/slow")));
        if (open.size() < 100) continue;
        ::close(open.front());
        open.pop_front();
      }
      for (const int fd : open) ::close(fd);
    });
  }
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    start();
    port = server_->port();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    server_->stop(0);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(30));
  enough = true;
  for (std::thread& client : clients) client.join();
}

TEST_F(ServerTest, AnEarlyRefusalSparesTheServerALargeBody) {
  ServerOptions options;
  options.threads = 1;
  options.unasked_bytes_max = 4;
  std::vector<std::string> asked;
  options.refuse_early = [&](const Request& request) {
    asked.emplace_back(request.header("Name"));
    EXPECT_THAT(request.peer, StartsWith("127.0.0.1:"));
    return request.header("Name") == "stranger" ? std::optional(Response{.status = 401})
                                                : std::nullopt;
  };
  std::vector<int> refused;
  options.refused = [&](int status) { refused.push_back(status); };
  start(options);
  const auto head = [](const std::string& name, const std::string& length) {
    return "POST /echo HTTP/1.1\r\nHost: x\r\nName: " + name + "\r\n" + length + "\r\n\r\n";
  };
  TestClient known(server_->port());
  known.send(head("known", "Content-Length: 5") + "12345");
  EXPECT_THAT(known.response(), HasSubstr("200 OK"));
  TestClient small(server_->port());
  small.send(head("stranger", "Content-Length: 4") + "1234");
  EXPECT_THAT(small.response(), HasSubstr("200 OK"));
  for (const char* length : {"Content-Length: 10000000", "Transfer-Encoding: chunked",
                             "Expect: 100-continue\r\nContent-Length: 5"}) {
    TestClient stranger(server_->port());
    stranger.send(head("stranger", length));  // and nothing of the body
    EXPECT_THAT(stranger.response(),
                testing::AllOf(HasSubstr("HTTP/1.1 401 "), HasSubstr("Connection: close")))
        << length;
  }
  server_->stop(kGraceMs);
  EXPECT_THAT(asked, testing::ElementsAre("known", "stranger", "stranger", "stranger"));
  EXPECT_THAT(refused, testing::ElementsAre(401, 401, 401));
}

TEST_F(ServerTest, AGreetingOfTlsIsAnsweredAtOnce) {
  start({.header_timeout_ms = 60'000});
  TestClient client(server_->port());
  client.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  EXPECT_THAT(client.response(), testing::AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("not TLS")));
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(ServerTest, AnAddressInUseIsNamed) {
  start();
  ServerOptions options;
  options.port = server_->port();
  const auto second = Server::start(options, [](Request, const Respond&) {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.status().code(), Code::kIo);
  EXPECT_THAT(second.status().message(), HasSubstr(fmt::format("127.0.0.1:{}", options.port)));
}

}  // namespace
}  // namespace ca4::http
