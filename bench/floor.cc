// The floors that `ca4 serve` is compared with, each cost alone, with the libraries that the
// product uses:
//   floor http                          the HTTP layer, reading and dropping bodies, until SIGTERM
//   floor parse FILE                    the numbers of FILE's bodies (JSON lists or base64),
//   nothing else floor write DB ROWS_A_GROUP ROWS    8 kB rows into SQLite, WAL, full sync,
//   ROWS_A_GROUP a transaction
// Each prints one JSON object (http: the address).
#include <modp_b64.h>
#include <signal.h>
#include <simdjson.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/sqlite.h"
#include "http/server.h"

namespace {

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

int run_http() {
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  ca4::http::ServerOptions options;
  options.port = 0;
  auto server =
      must(ca4::http::Server::start(options, [](ca4::http::Request, ca4::http::Respond respond) {
        respond(ca4::http::Response{.body = R"({"status":"ok"})"});
      }));
  std::printf("listening on http://127.0.0.1:%u\n", static_cast<unsigned>(server->port()));
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  server->stop(1000);
  return 0;
}

double sum_of_numbers(simdjson::ondemand::parser& parser, const simdjson::padded_string& json) {
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

int run_parse(const char* path) {
  simdjson::padded_string all = simdjson::padded_string::load(path);
  std::vector<simdjson::padded_string> lines;
  const std::string_view text = all;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  simdjson::ondemand::parser parser;
  double sum = 0;
  size_t events = 0;
  const double began = cpu_seconds();
  while (cpu_seconds() - began < 1.0) {
    for (const auto& line : lines) sum += sum_of_numbers(parser, line);
    events += lines.size();
  }
  const double us = (cpu_seconds() - began) / static_cast<double>(events) * 1e6;
  std::printf("{\"cpu_us_per_event\": %.2f, \"sum\": %g}\n", us, sum);
  return 0;
}

int run_write(const char* path, size_t group, size_t rows) {
  auto database = must(ca4::sqlite::Database::open(path, {.page_size_bytes = 8192}));
  must(
      database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                    "CREATE TABLE rows(id INTEGER PRIMARY KEY, value BLOB)"));
  auto insert = must(database.prepare("INSERT INTO rows(value) VALUES(?)"));
  std::string row(8192, 'x');
  std::mt19937 random(7);
  for (char& c : row) c = static_cast<char>(random());
  const double began = cpu_seconds();
  for (size_t done = 0; done < rows;) {
    must(database.exec("BEGIN IMMEDIATE"));
    for (size_t i = 0; i < group; ++i, ++done) {
      insert.bind_blob(1, row);
      must(insert.run());
    }
    must(database.exec("COMMIT"));
  }
  const size_t written = (rows + group - 1) / group * group;
  std::printf("{\"cpu_us_per_event\": %.2f}\n",
              (cpu_seconds() - began) / static_cast<double>(written) * 1e6);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "http") return run_http();
  if (mode == "parse" && argc == 3) return run_parse(argv[2]);
  if (mode == "write" && argc == 5)
    return run_write(argv[2], std::stoul(argv[3]), std::stoul(argv[4]));
  std::fprintf(stderr, "usage: floor http | parse FILE | write DB ROWS_A_GROUP ROWS\n");
  return 2;
}
