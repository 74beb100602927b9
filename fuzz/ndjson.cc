// The body of POST /metadata/batch, through the processor into a log: each line with something in
// it is answered as if it had been sent alone, and exactly the events that are answered with "ok"
// are in the log, in order.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "http/router.h"
#include "log/memory_log.h"
#include "ops/metrics.h"
#include "ops/traffic.h"
#include "processor/processor.h"
#include "support.h"

using namespace ca4;
using namespace ca4::fuzz;

namespace {

// Few, so that bodies with too many are found.
constexpr size_t kLinesMax = 64;

class Bench {
 public:
  Bench() : reader_(log_.consumer("fuzz").value()) {
    processor_.add_routes(router_, [](http::Handler inner) { return inner; });
  }

  http::Response post(std::string_view body) {
    http::Request request;
    request.method = "POST";
    request.path = "/metadata/batch";
    request.body_capacity = body.size() + event::Parser::kPaddingBytes;
    request.body_data = std::make_unique<char[]>(request.body_capacity);
    std::copy(body.begin(), body.end(), request.body_data.get());
    request.body_bytes = body.size();
    http::Response out;
    router_.route(std::move(request), [&](http::Response response) { out = std::move(response); });
    return out;
  }

  // What came into the log since the last call.
  std::vector<log::Record> kept() {
    auto records = reader_->poll({.wait_ms_max = 0}).value();
    if (!records.empty()) {
      const log::Position last = records.back().position;
      require(reader_->commit({{last.partition, last.offset + 1}}).is_ok(), "the log makes room");
    }
    return records;
  }

 private:
  ManualClock clock_{1'800'000'000'000'000};
  log::MemoryLog log_{{.bytes_max = 1 << 20}, clock_};
  std::unique_ptr<log::Consumer> reader_;
  ops::Metrics metrics_{"1", "up"};
  ops::Traffic traffic_;
  processor::Processor processor_{
      log_, clock_, metrics_.registry(), traffic_, {.batch_events_max = kLinesMax}};
  http::Router router_;
};

struct Line {
  size_t number = 0;  // from 1
  std::string_view text;
};

std::vector<Line> lines_of(std::string_view body) {
  std::vector<Line> out;
  size_t number = 0;
  for (size_t at = 0; at < body.size();) {
    const size_t end = std::min(body.find('\n', at), body.size());
    const std::string_view text = body.substr(at, end - at);
    ++number;
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) out.push_back({number, text});
    at = end + 1;
  }
  return out;
}

// As `parse`, but with what stands behind a line: closing brackets there can make of unbalanced
// ones another refusal.
bool parse_line(std::string_view line, event::Event& out, event::Refusal& why) {
  static event::Parser parser;
  std::string padded(line);
  padded.append(event::Parser::kPaddingBytes, '\n');
  return parser.parse({padded.data(), line.size()}, out, why);
}

// Whether it was taken.
bool check_line(const Line& line, const nlohmann::json& told) {
  event::Event alone;
  event::Refusal why;
  require(told["line"] == line.number, "an answer has its line", line.text);
  if (!parse_line(line.text, alone, why)) {
    require(told["status"] == "error" && told["error"]["status"] == (why.malformed ? 400 : 422),
            "what is no event alone is none among others",
            fmt::format("{}\nalone: {}\namong others: {}", line.text, why.reason, told.dump()));
    return false;
  }
  require(told["status"] == "ok" && told["embedding_dim"] == alone.embedding.size(),
          "an event alone is one among others", line.text);
  return true;
}

void check_record(const Line& line, const nlohmann::json& told, const log::Record& record) {
  event::Event alone;
  event::Refusal why;
  require(parse_line(line.text, alone, why), "an event", line.text);
  if (alone.metadata_id.empty()) event::assign_id(alone, record.key);
  const Result<event::EventView> kept = event::decode(record.value);
  require(kept && kept->metadata_id == record.key && told["metadata_id"] == record.key,
          "the log has what was told, in order", line.text);
  require(kept->metadata_id == alone.metadata_id && kept->meta_json == alone.meta_json &&
              kept->embedding() == alone.embedding,
          "and it is what was sent", line.text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Bench bench;
  const std::string_view body = text_of(data, size);
  const http::Response answer = bench.post(body);
  const std::vector<log::Record> kept = bench.kept();
  const std::vector<Line> lines = lines_of(body);
  if (lines.empty() || lines.size() > kLinesMax) {
    require(answer.status == (lines.empty() ? 400 : 413), "none, or too many", answer.body);
    require(kept.empty(), "nothing is kept of what is refused", answer.body);
    return 0;
  }
  require(answer.status == 200, "a batch is answered line by line", answer.body);
  size_t at = 0;
  size_t taken = 0;
  for (const Line& line : lines) {
    const size_t end = answer.body.find('\n', at);
    require(end != std::string::npos, "an answer a line", answer.body);
    const auto told = nlohmann::json::parse(answer.body.substr(at, end - at));
    at = end + 1;
    if (!check_line(line, told)) continue;
    require(taken < kept.size(), "what is told is in the log", answer.body);
    check_record(line, told, kept[taken++]);
  }
  require(at == answer.body.size() && taken == kept.size(), "and nothing more", answer.body);
  return 0;
}
