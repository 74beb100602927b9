// An HTTP/1.1 server: one event loop a thread, connections dealt to them in turn. It knows limits,
// TLS, keep-alive, pipelining and shutdown; it knows nothing of routes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace ca4::http {

// A request, complete with its body. Header names are looked up case-insensitively.
struct Request {
  std::string method;  // "GET"
  std::string path;    // decoded target without the query, begins with '/'; "*" of OPTIONS
  std::string query;   // raw, without '?'
  std::vector<std::pair<std::string, std::string>> headers;
  // The body; `body_capacity - body_bytes >= 64` so that simdjson may read past the end.
  std::unique_ptr<char[]> body_data;
  size_t body_bytes = 0;
  size_t body_capacity = 0;
  std::string peer;         // "127.0.0.1:53124"
  uint64_t id = 0;          // unique in this process
  std::string caller = {};  // name of the token that let it in; empty where none was asked for

  std::string_view body() const { return {body_data.get(), body_bytes}; }
  std::string_view header(std::string_view name) const;  // empty when absent; else the first one
  std::string_view last_header(std::string_view name) const;  // the same of the last one
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string body = {};
  bool close = false;       // end the connection after this response
  std::string caller = {};  // Request::caller, for the log: not sent
};

// Sends the response. Must be called exactly once, from any thread; the server keeps pipelined
// responses in order. Dropping it uncalled closes the connection (nothing was promised).
using Respond = std::function<void(Response)>;

// Whether a request is refused by its head alone: the answer, or none. Called on event-loop
// threads.
using EarlyRefusal = std::function<std::optional<Response>(const Request&)>;

// Called on an event-loop thread; must not block. Different connections call it from different
// threads at once.
using Handler = std::function<void(Request, Respond)>;

struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8000;            // 0: any free one, see Server::port
  unsigned threads = 0;            // 0: one a core
  std::string tls_cert_file = {};  // PEM chain; empty: plain HTTP
  std::string tls_key_file = {};

  // A bearer token of 8 KiB and as much again; more is answered 431.
  size_t header_bytes_max = 16 << 10;
  // A batch of 256 embeddings of 2048 floats as Python prints them is 11 MiB; more is answered 413.
  size_t body_bytes_max = 16 << 20;
  // All bodies being read or handled, over all connections; beyond it: 503. 16 of the largest. Up
  // to 64 KiB, which is an event, they have a quarter as much again for themselves. From half of it
  // on, a large one of which nothing comes for some seconds is answered 503.
  size_t bodies_bytes_max = 256 << 20;
  // Answers that their clients do not read, over all connections that have more than 64 KiB of
  // them. Beyond it those of whom nothing was read for some seconds are closed.
  size_t answers_bytes_max = 256 << 20;
  // From the first byte of a request to the end of its head: several round trips of a bad link.
  int64_t header_timeout_ms = 10'000;
  // A body may take this long on top: slower than a 2G mobile link is answered 408. As what came
  // before counts, one that stops is given up after half a minute at the latest.
  size_t body_bytes_per_s_min = 10 << 10;
  // Silence between requests: above the 60 s of common load balancers, so that they hang up first.
  int64_t idle_timeout_ms = 75'000;
  // Below the usual hard limit of descriptors. For a further one that which has been waiting for a
  // request the longest is closed, if that is 5 s; else it is answered 503 and closed, with TLS and
  // in a flood only closed.
  size_t connections_max = 4096;
  // Requests of one connection read ahead of their answers: fills a group commit, bounds memory.
  size_t pipeline_max = 32;
  // Asked before a body of more than `unasked_bytes_max`, or of unknown length, is read: who may
  // not send it makes nobody hold it.
  EarlyRefusal refuse_early = {};
  // For each of connections_max that is 64 MiB.
  size_t unasked_bytes_max = 16 << 10;
  // Told of every request that never reached the handler, with the status it was answered with.
  // Called on event-loop threads.
  std::function<void(int status)> refused = {};
};

class Server {
 public:
  // Binds and listens. kIo when the address is taken, with the address in the message; kConfig when
  // certificate or key can't be used. `handler` is kept until the last answer is given.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Handler handler);
  virtual ~Server() = default;

  virtual uint16_t port() const = 0;
  virtual size_t connections() const = 0;

  // Reads certificate and key again, for connections from now on. As `start` where they can't be
  // used; the old ones stay then. Not for several threads at once.
  virtual Status reload_certificate() = 0;

  // Stops accepting, lets requests in flight finish for at most `grace_ms`, then closes what is
  // left and ends the threads. A request of which nothing comes for 3 s is answered 503. Returns
  // how many connections were cut off. Idempotent; a Respond called later does nothing.
  virtual size_t stop(int64_t grace_ms) = 0;
};

}  // namespace ca4::http
