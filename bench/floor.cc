// The floors that `ca4 serve` is compared with, each cost alone, with the libraries that the
// product uses:
//   floor http                    the HTTP layer, reading and dropping bodies, until SIGTERM
//   floor parse FILE              the numbers (JSON list or base64) of FILE's events, a line each
//   floor write DB ROWS_A_GROUP   8 kB rows into SQLite, WAL, full sync, so many a transaction
//   floor joined DB               http and write in one program: a row a request, written by a
//                                 thread of its own, and then the answer; until SIGTERM. No floor,
//                                 but what handing over costs where the sum counts it as nothing.
// Each prints one JSON object (http and joined: the address).
#include <modp_b64.h>
#include <signal.h>
#include <simdjson.h>
#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/sqlite.h"
#include "http/server.h"

namespace {

// Of CPU. Parsing is steady; writing needs a few checkpoints, at every 8 MB.
constexpr double kParseSeconds = 0.3;
constexpr double kWriteSeconds = 0.7;

double cpu_seconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "floor: %s\n", why.c_str());
  std::exit(1);
}

template <class T>
T must(ca4::Result<T> result) {
  if (!result.is_ok()) fail(result.status().to_string());
  return std::move(result).value();
}

void must(const ca4::Status& status) {
  if (!status.is_ok()) fail(status.to_string());
}

int serve(const ca4::http::Handler& handler) {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ca4::http::ServerOptions options;
  options.port = 0;
  auto server = must(ca4::http::Server::start(options, handler));
  std::printf("listening on http://127.0.0.1:%u\n", static_cast<unsigned>(server->port()));
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  server->stop(1000);
  return 0;
}

int run_http() {
  return serve([](const ca4::http::Request&, const ca4::http::Respond& respond) {
    respond(ca4::http::Response{.body = R"({"status":"ok"})"});
  });
}

double sum_of_numbers(simdjson::ondemand::parser& parser, simdjson::padded_string_view json) {
  double sum = 0;
  static std::string bytes;
  simdjson::ondemand::document document = parser.iterate(json);
  for (auto field : document.get_object()) {
    const std::string_view key = field.unescaped_key();
    if (key == "embedding") {
      for (double x : field.value().get_array()) sum += x;
    } else if (key == "embedding_b64") {
      const std::string_view text = field.value().get_string();
      bytes.resize(modp_b64_decode_len(text.size()));
      if (modp_b64_decode(bytes.data(), text.data(), text.size()) == static_cast<size_t>(-1)) {
        fail("bad base64");
      }
      sum += bytes[0];
    }
  }
  return sum;
}

// What one event of `work` costs, which says how many it did; done again for `seconds` of CPU.
template <class Work>
double cpu_us_per_event(double seconds, const Work& work) {
  size_t events = 0;
  const double began = cpu_seconds();
  while (cpu_seconds() - began < seconds) events += work();
  return (cpu_seconds() - began) / static_cast<double>(events) * 1e6;
}

// As in a server, an event comes once, in memory that its reader has just written. So there are
// many different ones (of a few, the branch predictor learns every digit), and each is copied to
// one place before it is parsed. The copying alone is measured too and taken off: it is the HTTP
// layer's.
int run_parse(const char* path) {
  const simdjson::padded_string all = simdjson::padded_string::load(path);
  std::vector<std::string_view> lines;
  size_t longest = 0;
  const std::string_view text = all;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    longest = std::max(longest, lines.back().size());
    at = end + 1;
  }
  std::vector<char> body(longest + simdjson::SIMDJSON_PADDING);
  simdjson::ondemand::parser parser;
  double sum = 0;
  const auto copy = [&](std::string_view line) {
    std::memcpy(body.data(), line.data(), line.size());
    sum += body[line.size() / 2];
  };
  const double copied = cpu_us_per_event(kParseSeconds, [&] {
    for (const std::string_view line : lines) copy(line);
    return lines.size();
  });
  const double parsed = cpu_us_per_event(kParseSeconds, [&] {
    for (const std::string_view line : lines) {
      copy(line);
      sum += sum_of_numbers(parser,
                            simdjson::padded_string_view(body.data(), line.size(), body.size()));
    }
    return lines.size();
  });
  std::printf("{\"cpu_us_per_event\": %.2f, \"sum\": %g}\n", parsed - copied, sum);
  return 0;
}

// A table of 8 kB rows.
class Rows {
 public:
  explicit Rows(const char* path)
      : database_(must(ca4::sqlite::Database::open(path, {.page_size_bytes = 8192}))),
        begin_(prepared("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                        "CREATE TABLE rows(id INTEGER PRIMARY KEY, value BLOB)",
                        "BEGIN IMMEDIATE")),
        insert_(must(database_.prepare("INSERT INTO rows(value) VALUES(?)"))),
        commit_(must(database_.prepare("COMMIT"))),
        row_(8192, 'x') {
    std::mt19937 random(7);
    for (char& c : row_) c = static_cast<char>(random());
  }

  void write(size_t group) {
    must(begin_.run());
    for (size_t i = 0; i < group; ++i) {
      insert_.bind_blob(1, row_);
      must(insert_.run());
    }
    must(commit_.run());
  }

 private:
  ca4::sqlite::Statement prepared(const char* setup, const char* sql) {
    must(database_.exec(setup));
    return must(database_.prepare(sql));
  }

  ca4::sqlite::Database database_;
  ca4::sqlite::Statement begin_, insert_, commit_;
  std::string row_;
};

int run_write(const char* path, size_t group) {
  Rows rows(path);
  const double us = cpu_us_per_event(kWriteSeconds, [&] {
    rows.write(group);
    return group;
  });
  std::printf("{\"cpu_us_per_event\": %.2f}\n", us);
  return 0;
}

int run_joined(const char* path) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<ca4::http::Respond> waiting;
  bool ending = false;
  std::thread writer([&] {
    Rows rows(path);
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [&] { return ending || !waiting.empty(); });
      if (waiting.empty()) return;
      const auto group = std::exchange(waiting, {});
      lock.unlock();
      rows.write(group.size());
      for (const auto& respond : group) respond({.body = R"({"status":"ok"})"});
      lock.lock();
    }
  });
  const int code = serve([&](const ca4::http::Request&, ca4::http::Respond respond) {
    const std::lock_guard lock(mutex);
    waiting.push_back(std::move(respond));
    changed.notify_one();
  });
  {
    const std::lock_guard lock(mutex);
    ending = true;
  }
  changed.notify_one();
  writer.join();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "http") return run_http();
  if (mode == "parse" && argc == 3) return run_parse(argv[2]);
  if (mode == "write" && argc == 4) return run_write(argv[2], std::stoul(argv[3]));
  if (mode == "joined" && argc == 3) return run_joined(argv[2]);
  std::fprintf(stderr, "usage: floor http | parse FILE | write DB ROWS_A_GROUP | joined DB\n");
  return 2;
}
