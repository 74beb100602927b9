#include "cli/outbox_csv.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <span>

#include "base/halves.h"

namespace ca4::cli {
namespace {

// As many events as one fsync is well spent on.
constexpr size_t kAppendRecordsMax = 256;
constexpr size_t kAppendBytesMax = 4U << 20;
// A clock may have been wrong by minutes, not by days; a time in milliseconds is far behind this.
constexpr int64_t kFutureUsMax = int64_t{86'400} * 1'000'000;

std::string id_of_content(const event::Event& event) {
  event::EventView view;
  view.meta_json = event.meta_json;
  view.embedding_bytes = std::as_bytes(std::span(event.embedding));
  view.dim = event.embedding.size();
  constexpr size_t kHexDigits = 32;
  return "csv-" + event::payload_hash(view).substr(0, kHexDigits);
}

}  // namespace

bool OutboxRows::read_time(const std::string& text, std::string& why) {
  double seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(seconds)) {
    why = fmt::format("the time is no number: '{}'", text.substr(0, 40));
    return false;
  }
  const double us = seconds * 1e6;
  if (us < 1 || us > static_cast<double>(clock_.now_us() + kFutureUsMax)) {
    why = fmt::format("the time is no Unix time in seconds between 1970 and now: {}", text);
    return false;
  }
  const int64_t time_us = std::llround(us);
  same_time_ = time_us == time_us_ ? same_time_ + 1 : 0;
  time_us_ = time_us;
  return true;
}

bool OutboxRows::read(const CsvRow& row, event::Event& out, std::string& why) {
  if (row.raw.starts_with('{')) {
    why = "JSON without a time before it; lines of JSON are for POST /metadata/batch";
    return false;
  }
  if (!row.damage.empty()) {
    why = row.damage;
    return false;
  }
  if (row.fields.size() != 2) {
    why = fmt::format("{} columns, not a time and an event", row.fields.size());
    return false;
  }
  if (!read_time(row.fields[0], why)) return false;
  json_ = row.fields[1];
  json_.append(event::Parser::kPaddingBytes, ' ');
  event::Refusal refusal;
  const std::string_view json(json_.data(), row.fields[1].size());
  if (!parser_.parse(json, out, refusal)) {
    why = refusal.field.empty() ? refusal.reason
                                : fmt::format("{}: {}", refusal.field, refusal.reason);
    return false;
  }
  if (out.metadata_id.empty()) event::assign_id(out, id_of_content(out));
  out.ingested_at_us = time_us_;
  out.version = static_cast<uint64_t>(time_us_) + same_time_;
  return true;
}

Status import_csv(CsvReader& rows, log::EventLog& outbox, const Clock& clock,
                  const Rejected& rejected, ImportReport& report) {
  OutboxRows events(clock);
  event::Event event;
  std::vector<log::NewRecord> records;
  size_t bytes = 0;
  const auto append_some = [&](size_t begin, size_t count) {
    const auto first = records.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<log::NewRecord> some(first, first + static_cast<std::ptrdiff_t>(count));
    const Status kept = log::append_and_wait(outbox, some).status();
    if (kept.is_ok()) report.imported += count;
    return kept;
  };
  // In parts where the queue is too small for all of them.
  const auto append = [&]() -> Status {
    const Status kept =
        try_in_halves(records.size(), append_some, [](size_t, const Status& why) { return why; });
    records.clear();
    bytes = 0;
    return kept;
  };
  while (true) {
    const Result<std::optional<CsvRow>> row = rows.next();
    if (!row) return row.status();
    const bool full = records.size() >= kAppendRecordsMax || bytes >= kAppendBytesMax;
    if (!*row || full) {
      if (const Status kept = append(); !kept.is_ok()) return kept;
      if (!*row) return Status::ok();
      report.line = (*row)->line;
    }
    std::string why;
    if (events.read(**row, event, why)) {
      log::NewRecord record{event.metadata_id, event::encode(event), {}};
      const Status admitted = outbox.admits(record);
      if (admitted.is_ok()) {
        bytes += record.value.size();
        records.push_back(std::move(record));
        continue;
      }
      why = admitted.message();
    }
    ++report.rejected;
    if (const Status told = rejected(**row, why); !told.is_ok()) return told;
  }
}

}  // namespace ca4::cli
