#include "cli/spool_file.h"

#include <fmt/format.h>

#include <cstdio>
#include <functional>
#include <string_view>

#include "base/io_error.h"
#include "base/printable.h"
#include "cli/out_file.h"
#include "event/event.h"
#include "log/spool_options.h"

namespace ca4::cli {
namespace {

using Write = std::function<Status(std::string_view text)>;

Status write_waiting(log::LogInspector& outbox, const Write& write) {
  const Result<Waiting> waiting = waiting_in(outbox);
  if (!waiting) return waiting.status();
  if (waiting->records == 0) return Status::ok();
  size_t damaged = 0;
  Status written;
  const Status read = outbox.from(waiting->first, [&](const log::StoredRecord& record) {
    const Result<event::EventView> event = event::decode(record.value);
    if (event) {
      written = write(event::to_wire_json(*event) + '\n');
      return written.is_ok();
    }
    ++damaged;
    fmt::print(stderr, "ca4 spool export: offset {}: {}\n", record.offset,
               printable(record.damage.empty() ? event.status().message() : record.damage));
    return true;
  });
  if (!written.is_ok()) return written;
  if (!read.is_ok() || damaged == 0) return read;
  return {Code::kCorruption,
          fmt::format("{} events are damaged and were left out; the others are whole", damaged)};
}

}  // namespace

Result<Waiting> waiting_in(log::LogInspector& outbox) {
  const Result<log::LogSummary> summary = outbox.summary();
  if (!summary) return summary.status();
  Waiting waiting;
  waiting.records = summary->end - summary->first;
  for (const log::GroupLag& group : summary->groups) {
    if (group.group == log::kForwarderGroup) waiting.records = group.lag;
  }
  waiting.first = summary->end - waiting.records;
  waiting.delivered = waiting.first - summary->first;
  waiting.used_bytes = summary->used_bytes;
  waiting.file_bytes = summary->file_bytes;
  if (waiting.records == 0) return waiting;
  const Result<std::optional<int64_t>> oldest = outbox.appended_at_us(waiting.first);
  if (!oldest) return oldest.status();
  waiting.oldest_us = *oldest;
  return waiting;
}

Status export_waiting(log::LogInspector& outbox, const std::string& path) {
  if (path.empty()) {
    return write_waiting(outbox, [](std::string_view text) {
      fmt::print("{}", text);
      return Status::ok();
    });
  }
  Result<OutFile> file = OutFile::create(path + ".part");
  if (!file) return file.status();
  const Status exported =
      write_waiting(outbox, [&file](std::string_view text) { return file->write(text); });
  if (const Status written = file->finish(); !written.is_ok()) {
    (void)std::remove(file->path().c_str());  // half of it helps nobody, and holds the disk
    return written;
  }
  if (std::rename(file->path().c_str(), path.c_str()) != 0) {
    return io_error(path);
  }
  return exported;
}

}  // namespace ca4::cli
