#include "tap/tap.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "event/traceparent.h"
#include "log/wire_values.h"

namespace ca4::tap {
namespace {

using Json = nlohmann::ordered_json;

// A line with its numbers has 20 KiB and more; a terminal shows none of a megabyte.
constexpr size_t kTextBytesMax = 4U << 20;
constexpr size_t kPollBytesMax = 1U << 20;

double steady_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool matches_id(const std::string& wanted, std::string_view id) {
  if (wanted.empty()) return true;
  if (wanted.ends_with('*')) return id.starts_with(wanted.substr(0, wanted.size() - 1));
  return id == wanted;
}

bool matches(const std::string& wanted, const Json& object, const char* member) {
  if (wanted.empty()) return true;
  if (!object.is_object()) return false;
  const auto found = object.find(member);
  return found != object.end() && found->is_string() && *found == wanted;
}

double norm_of(const std::vector<float>& numbers) {
  double sum = 0;
  for (const float number : numbers) sum += static_cast<double>(number) * number;
  return std::sqrt(sum);
}

Json line_of(const log::Record& record, const event::EventView& event, Json meta, bool full) {
  const std::vector<float> numbers = event.embedding();
  Json line = {{"time", format_rfc3339(event.ingested_at_us)},
               {"partition", record.position.partition},
               {"offset", record.position.offset},
               {"metadata_id", event.metadata_id}};
  line["embedding"] = {{"dim", event.dim}, {"norm", norm_of(numbers)}};
  if (full) line["embedding"]["numbers"] = numbers;
  if (const std::string* trace = log::find_header(record.headers, event::kTraceparent)) {
    line["traceparent"] = *trace;
  }
  meta.erase("metadata_id");
  meta.erase("embedding_dim");
  line["event"] = std::move(meta);
  return line;
}

}  // namespace

Result<std::unique_ptr<Tap>> Tap::open(log::EventLog& log, TapFilter filter) {
  Result<std::unique_ptr<log::Consumer>> scan = log.scan(log::From::kEnd);
  if (!scan) return scan.status();
  return std::unique_ptr<Tap>(new Tap(std::move(*scan), std::move(filter)));
}

Tap::Tap(std::unique_ptr<log::Consumer> consumer, TapFilter filter)
    : consumer_(std::move(consumer)),
      filter_(std::move(filter)),
      allowance_(static_cast<double>(filter_.per_second_max)),
      refilled_s_(steady_s()) {}

// A second's worth may come at once.
bool Tap::admit() {
  const double now_s = steady_s();
  allowance_ =
      std::min(allowance_ + (now_s - refilled_s_) * static_cast<double>(filter_.per_second_max),
               static_cast<double>(filter_.per_second_max));
  refilled_s_ = now_s;
  if (allowance_ < 1) return false;
  allowance_ -= 1;
  return true;
}

void Tap::take(const log::Record& record, TapLines& lines) {
  if (!matches_id(filter_.id, record.key)) return;
  // What is no event the worker dead-letters and tells of.
  const Result<event::EventView> event =
      reader_.read(record.value, log::origin_of(record.headers, record.appended_at_us));
  if (!event) return;
  Json meta = Json::parse(event->meta_json, nullptr, /*allow_exceptions=*/false);
  if (!meta.is_object() || !matches(filter_.model, meta, "model_name") ||
      !matches(filter_.pipeline, meta["extra"], "pipeline")) {
    return;
  }
  if (lines.text.size() >= kTextBytesMax || !admit()) {
    ++lines.left_out;
    return;
  }
  lines.text += line_of(record, *event, std::move(meta), filter_.full)
                    .dump(-1, ' ', false, Json::error_handler_t::replace) +
                '\n';
  ++lines.count;
}

Result<TapLines> Tap::next(int64_t wait_ms) {
  TapLines lines;
  log::PollLimits limits{.bytes_max = kPollBytesMax};
  const double until_s = steady_s() + static_cast<double>(wait_ms) / 1e3;
  do {
    limits.wait_ms_max = std::max<int64_t>(static_cast<int64_t>((until_s - steady_s()) * 1e3), 0);
    const Result<std::vector<log::Record>> records = consumer_->poll(limits);
    if (!records) return records.status();
    for (const log::Record& record : *records) take(record, lines);
  } while (lines.count == 0 && steady_s() < until_s);
  return lines;
}

}  // namespace ca4::tap
