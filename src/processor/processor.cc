#include "processor/processor.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <string_view>
#include <thread>

#include "base/raise.h"
#include "event/json_text.h"
#include "event/traceparent.h"
#include "event/value_reader.h"
#include "http/inflate.h"
#include "http/problem.h"
#include "log/wire_values.h"
#include "ops/families.h"
#include "processor/assets.h"

namespace ca4::processor {
namespace {

using http::json_string;

// What a client waits before it comes again: several group commits, and most checkpoints.
constexpr int kRetryAfterS = 1;

// What takes longer than some milliseconds to inflate and parse leaves the event loop, where
// hundreds of other clients may wait behind it: of what is compressed, 2 kB can be 64 MiB.
constexpr size_t kLargeBodyBytes = 1 << 20;
// The largest of them take a second or two together; their bodies are in ServerOptions's bound.
constexpr size_t kLargeWaitingMax = 32;

int64_t steady_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

// The media type without parameters, lower case.
std::string media_type(const http::Request& request) {
  std::string_view header = request.header("Content-Type");
  header = header.substr(0, header.find(';'));
  std::string out;
  for (const char c : header) {
    if (c != ' ' && c != '\t') out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
  }
  return out;
}

int status_of(const event::Refusal& why) {
  return why.malformed ? 400 : 422;
}

// One parser and one event a thread: both keep their memory, so that an event costs no allocation
// of its size.
struct Scratch {
  event::Parser parser;
  event::Event event;
  // Random bytes for ids: the generator costs microseconds a call, whatever it gives.
  std::array<uint8_t, 1000> random{};
  size_t random_used = random.size();

  std::array<uint8_t, 10> entropy() {
    std::array<uint8_t, 10> out{};
    if (random_used + out.size() > random.size()) {
      RAND_bytes(random.data(), static_cast<int>(random.size()));
      random_used = 0;
    }
    std::copy_n(random.begin() + static_cast<ptrdiff_t>(random_used), out.size(), out.begin());
    random_used += out.size();
    return out;
  }
};

Scratch& scratch() {
  thread_local Scratch mine;
  return mine;
}

// What goes with a request's events. A traceparent that is none is as good as absent (W3C Trace
// Context, section 3.2.2.2).
log::Headers trace_headers(const http::Request& request) {
  const std::string_view trace = request.header(event::kTraceparent);
  if (!event::is_traceparent(trace)) return {};
  return {{event::kTraceparent, std::string(trace)}};
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// Far more than appends of one moment can be apart, see version_of.
constexpr uint64_t kVersionMargin = 1'000'000;

}  // namespace

// Versions are times of acceptance, and a record is appended when it was accepted: only a clock set
// back makes the version the larger of both.
uint64_t version_of(const log::Record& newest) {
  const auto appended = static_cast<uint64_t>(std::max<int64_t>(newest.appended_at_us, 0));
  event::ValueReader reader;
  const Result<event::EventView> event =
      reader.read(newest.value, log::origin_of(newest.headers, newest.appended_at_us));
  return std::max(event ? event->version : 0, appended);
}

http::Response append_failed(const Status& status, size_t events) {
  if (status.code() == Code::kTooLarge && events == 1) return http::problem(413, status.message());
  if (status.code() == Code::kTooLarge) {
    // Brokers refuse request by request, each of which has a part of the batch.
    return http::problem(413, fmt::format("one of {} events, or all together, is too large; others "
                                          "may be kept, send them again in smaller batches: {}",
                                          events, status.message()));
  }
  return http::problem_retry(503, "not known to be durable, send it again: " + status.message(),
                             kRetryAfterS);
}

struct Processor::Metrics {
  explicit Metrics(prometheus::Registry& registry)
      : events(ops::counters(registry, "ca4_events_total")),
        accepted(events.Add({{"result", "accepted"}})),
        refused(events.Add({{"result", "refused"}})),
        failed(events.Add({{"result", "failed"}})),
        request_events(ops::histogram(registry, "ca4_request_events")),
        in_log(durable(registry, "log")),
        in_kafka(durable(registry, "kafka")),
        in_outbox(durable(registry, "outbox")) {}

  static prometheus::Histogram& durable(prometheus::Registry& registry, const char* place) {
    return ops::histogram(registry, "ca4_durable_seconds", {{"place", place}});
  }
  // `events` of one request became durable `took_us` after they were appended.
  void kept(std::string_view place, size_t events_count, int64_t took_us) {
    prometheus::Histogram& seconds = place == "log"     ? in_log
                                     : place == "kafka" ? in_kafka
                                                        : in_outbox;
    seconds.Observe(static_cast<double>(took_us) / 1e6);
    request_events.Observe(static_cast<double>(events_count));
  }

  prometheus::Family<prometheus::Counter>& events;
  prometheus::Counter& accepted;
  prometheus::Counter& refused;
  prometheus::Counter& failed;
  prometheus::Histogram& request_events;
  prometheus::Histogram& in_log;
  prometheus::Histogram& in_kafka;
  prometheus::Histogram& in_outbox;
};

// What became of each line of a batch while the good ones are on their way to the disk.
struct Processor::Batch {
  std::string_view durable_in;
  struct Line {
    size_t number = 0;  // from 1
    std::string id;     // of an event; empty: `problem` says why it is none
    size_t dim = 0;
    Problem problem;
  };
  std::vector<Line> lines;
  std::vector<log::NewRecord> records;
  int64_t began_us = 0;

  std::string answer() const {
    std::string out;
    for (const Line& line : lines) {
      if (!line.id.empty()) {
        out.append(R"({"line":)").append(fmt::format_int(line.number).c_str());
        out.append(R"(,"status":"ok","metadata_id":)");
        event::append_json_string(out, line.id);
        out.append(R"(,"embedding_dim":)").append(fmt::format_int(line.dim).c_str());
        out.append(R"(,"durable_in":")").append(durable_in).append("\"}\n");
      } else {
        fmt::format_to(
            std::back_inserter(out),
            R"({{"line":{},"status":"error","error":{}}})"
            "\n",
            line.number,
            http::problem_json(line.problem.status, line.problem.detail, line.problem.field));
      }
    }
    return out;
  }
};

Processor::Processor(log::EventLog& log, const Clock& clock, prometheus::Registry& registry,
                     ops::Traffic& traffic, ProcessorOptions options)
    : log_(log),
      clock_(clock),
      traffic_(traffic),
      options_(std::move(options)),
      answer_tail_(fmt::format(R"(,"kafka_enabled":{},"outbox_enabled":{})",
                               !options_.kafka_bootstrap.empty(), !options_.outbox_file.empty())),
      metrics_(std::make_unique<Metrics>(registry)),
      large_(std::max(1U, std::thread::hardware_concurrency()), kLargeWaitingMax) {}

Processor::~Processor() = default;

std::string_view Processor::durable_in(const std::vector<log::Position>& kept) const {
  // A batch is in one place: it was appended as one.
  if (!kept.empty() && kept[0].partition == log::kOutboxPartition) return "outbox";
  return options_.kafka_bootstrap.empty() ? "log" : "kafka";
}

void Processor::remember_versions(std::unique_ptr<VersionMark> mark) {
  raise(version_, mark->highest());
  mark_ = std::move(mark);
}

void Processor::continue_versions(const std::vector<log::Record>& newest) {
  const bool knows_runs = mark_ && mark_->highest() > 0;
  for (const log::Record& record : newest) {
    raise(version_, version_of(record) + (knows_runs ? 0 : kVersionMargin));
  }
}

int64_t Processor::ahead_us() const {
  return std::max<int64_t>(static_cast<int64_t>(version_.load()) - clock_.now_us(), 0);
}

void Processor::stamp(event::Event& event) {
  event.ingested_at_us = clock_.now_us();
  // The time, but never twice the same and never backwards.
  const auto now = static_cast<uint64_t>(event.ingested_at_us);
  uint64_t last = version_.load();
  do {
    event.version = std::max(now, last + 1);
  } while (!version_.compare_exchange_weak(last, event.version));
  if (mark_) mark_->given(event.version);
  if (!event.metadata_id.empty()) return;
  event::assign_id(event, event::make_uuid_v7(event.ingested_at_us, scratch().entropy()));
}

void Processor::note(int64_t began_us, uint64_t accepted, uint64_t refused, uint64_t failed) {
  if (accepted > 0) metrics_->accepted.Increment(static_cast<double>(accepted));
  if (refused > 0) metrics_->refused.Increment(static_cast<double>(refused));
  if (failed > 0) metrics_->failed.Increment(static_cast<double>(failed));
  traffic_.add(clock_.now_us(), accepted, refused, failed, steady_us() - began_us);
}

// Checks the type and undoes the compression; false when the request was answered.
bool Processor::read_body(http::Request& request, bool ndjson, const http::Respond& respond,
                          int64_t began_us) {
  const auto refuse = [&](int status, std::string_view detail) {
    note(began_us, 0, 1, 0);
    respond(http::problem(status, detail));
    return false;
  };
  const std::string type = media_type(request);
  const bool json = type == "application/json";
  const bool lines =
      type == "application/x-ndjson" || type == "application/ndjson" || type == "application/jsonl";
  // Without a type it is what the route takes.
  if (!type.empty() && !(ndjson ? lines : json)) {
    return refuse(415, fmt::format("Content-Type {} is not {}", type,
                                   ndjson ? "application/x-ndjson" : "application/json"));
  }
  const Status inflated = http::inflate_body(request, options_.inflated_bytes_max);
  switch (inflated.code()) {
    case Code::kOk:
      return true;
    case Code::kTooLarge:
      return refuse(413, inflated.message());
    case Code::kNotFound:
      return refuse(415, inflated.message());
    default:
      return refuse(400, inflated.message());
  }
}

void Processor::post_one(http::Request request, http::Respond respond) {
  const int64_t began_us = steady_us();
  if (!read_body(request, false, respond, began_us)) return;
  Scratch& mine = scratch();
  event::Event& event = mine.event;
  event::Refusal why;
  if (!mine.parser.parse(request.body(), event, why)) {
    note(began_us, 0, 1, 0);
    return respond(http::problem(status_of(why), why.reason, why.field));
  }
  stamp(event);
  std::vector<log::NewRecord> records(1);
  records[0].key = event.metadata_id;
  records[0].value = event::encode(event);
  records[0].headers = trace_headers(request);
  if (const Status admitted = log_.admits(records[0]); !admitted.is_ok()) {
    note(began_us, 0, 1, 0);
    return respond(append_failed(admitted, 1));
  }
  std::string answer = R"({"status":"ok","message":"durable","metadata_id":)";
  event::append_json_string(answer, event.metadata_id);
  answer.append(R"(,"embedding_dim":)").append(fmt::format_int(event.embedding.size()).c_str());
  answer.append(answer_tail_);
  request.body_data.reset();  // 42 kB that need not wait for the disk
  const int64_t appended_us = steady_us();
  log_.append(std::move(records), [this, began_us, appended_us, answer = std::move(answer),
                                   respond = std::move(respond)](
                                      const Result<std::vector<log::Position>>& kept) mutable {
    if (!kept) {
      note(began_us, 0, 0, 1);
      return respond(append_failed(kept.status(), 1));
    }
    note(began_us, 1, 0, 0);
    const std::string_view place = durable_in(*kept);
    metrics_->kept(place, 1, steady_us() - appended_us);
    fmt::format_to(std::back_inserter(answer), R"(,"durable_in":"{}"}})", place);
    respond(http::Response{.body = std::move(answer)});
  });
}

void Processor::post_batch(http::Request request, http::Respond respond) {
  const int64_t began_us = steady_us();
  if (!read_body(request, true, respond, began_us)) return;
  auto batch = std::make_shared<Batch>();
  batch->began_us = began_us;
  Scratch& mine = scratch();
  event::Event& event = mine.event;
  const log::Headers headers = trace_headers(request);
  const std::string_view body = request.body();
  size_t number = 0;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('\n', at), body.size());
    const std::string_view line = body.substr(at, end - at);
    at = end + 1;
    ++number;
    if (is_blank(line)) continue;
    if (batch->lines.size() == options_.batch_events_max) {
      note(began_us, 0, 1, 0);
      return respond(
          http::problem(413, fmt::format("more than {} events in one batch; nothing of it was kept",
                                         options_.batch_events_max)));
    }
    Batch::Line& result = batch->lines.emplace_back();
    result.number = number;
    event::Refusal why;
    if (!mine.parser.parse(line, event, why)) {
      result.problem = {status_of(why), std::move(why.reason), std::move(why.field)};
      continue;
    }
    stamp(event);
    log::NewRecord record{event.metadata_id, event::encode(event), headers};
    if (const Status admitted = log_.admits(record); !admitted.is_ok()) {
      result.problem = {413, admitted.message(), {}};
      continue;
    }
    result.id = event.metadata_id;
    result.dim = event.embedding.size();
    batch->records.push_back(std::move(record));
  }
  if (batch->lines.empty()) {
    note(began_us, 0, 1, 0);
    return respond(http::problem(400, "the batch has no event: send one JSON object a line"));
  }
  request.body_data.reset();
  append_batch(batch, std::move(respond));
}

void Processor::append_batch(const std::shared_ptr<Batch>& batch, http::Respond respond) {
  const size_t good = batch->records.size();
  const size_t bad = batch->lines.size() - good;
  const auto answer = [this, batch, good, bad, respond = std::move(respond)](const Status& kept) {
    if (!kept.is_ok()) {
      note(batch->began_us, 0, bad, good);
      return respond(append_failed(kept, good));
    }
    note(batch->began_us, good, bad, 0);
    http::Response response;
    response.content_type = "application/x-ndjson";
    response.body = batch->answer();
    respond(std::move(response));
  };
  if (good == 0) return answer(Status::ok());
  const int64_t appended_us = steady_us();
  log_.append(std::move(batch->records), [this, batch, good, appended_us,
                                          answer](const Result<std::vector<log::Position>>& kept) {
    if (kept) {
      batch->durable_in = durable_in(*kept);
      metrics_->kept(batch->durable_in, good, steady_us() - appended_us);
    }
    answer(kept.status());
  });
}

http::Response Processor::health() const {
  http::Response response;
  response.body = fmt::format(
      R"({{"status":"healthy","kafka_bootstrap":{},"kafka_enabled":{},"outbox_file":{},"outbox_enabled":{},)"
      R"("topic":{},"version":{})",
      json_string(options_.kafka_bootstrap), !options_.kafka_bootstrap.empty(),
      json_string(options_.outbox_file), !options_.outbox_file.empty(), json_string(log_.topic()),
      json_string(options_.version));
  if (!options_.processor_id.empty()) {
    response.body += fmt::format(R"(,"processor_id":{})", json_string(options_.processor_id));
  }
  response.body += '}';
  return response;
}

http::Response Processor::ready() const {
  const Status status = log_.ready();
  if (!status.is_ok()) return http::problem_retry(503, status.message(), kRetryAfterS);
  return http::Response{.body = R"({"status":"ready"})"};
}

// Whether the body is small, also inflated; it is then.
bool Processor::is_small(http::Request& request) const {
  if (request.body_bytes > kLargeBodyBytes) return false;
  const size_t inflated_max = std::min(kLargeBodyBytes, options_.inflated_bytes_max);
  // What is wrong with it otherwise is found again, and said, by read_body.
  return http::inflate_body(request, inflated_max).code() != Code::kTooLarge;
}

http::Handler Processor::taking(void (Processor::*post)(http::Request, http::Respond)) {
  return [this, post](http::Request request, http::Respond respond) {
    if (is_small(request)) return (this->*post)(std::move(request), std::move(respond));
    const int64_t began_us = steady_us();
    // std::function wants what it holds to be copyable.
    const auto shared = std::make_shared<http::Request>(std::move(request));
    if (large_.try_run(
            [this, post, shared, respond] { (this->*post)(std::move(*shared), respond); })) {
      return;
    }
    note(began_us, 0, 0, 1);
    respond(http::problem_retry(503, "too many large requests at once", kRetryAfterS));
  };
}

void Processor::add_routes(http::Router& router,
                           const std::function<http::Handler(http::Handler)>& guard) {
  router.add("POST", "/metadata", guard(taking(&Processor::post_one)));
  router.add("POST", "/metadata/batch", guard(taking(&Processor::post_batch)));
  router.add("GET", "/health",
             [this](const http::Request&, const http::Respond& respond) { respond(health()); });
  router.add("GET", "/readyz",
             [this](const http::Request&, const http::Respond& respond) { respond(ready()); });
  router.add("GET", "/livez", [](const http::Request&, const http::Respond& respond) {
    respond(http::Response{.body = R"({"status":"alive"})"});
  });
  router.add("GET", "/openapi.json", [](const http::Request&, const http::Respond& respond) {
    respond(http::Response{.body = std::string(assets()[0].bytes)});
  });
}

}  // namespace ca4::processor
