// The CSV outbox of older Python processors: no header, two columns, the Unix time at which an
// event was put aside, and the event's JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "cli/csv_reader.h"
#include "event/event.h"
#include "log/event_log.h"

namespace ca4::cli {

// Makes an event of each row of one file, in the file's order. One thread at a time.
class OutboxRows {
 public:
  explicit OutboxRows(const Clock& clock) : clock_(clock) {}

  // As POST /metadata would take it, but accepted at the row's time, which also decides the
  // version: an event that is stored already in a newer version stays. Rows of one time in a row
  // count up from it. An event without an id gets one made of its content. So the same row gives
  // the same event, however often it is imported. False, with the reason in `why`, for a row that
  // is none.
  bool read(const CsvRow& row, event::Event& out, std::string& why);

 private:
  bool read_time(const std::string& text, std::string& why);

  const Clock& clock_;
  event::Parser parser_;
  std::string json_;
  int64_t time_us_ = -1;
  uint64_t same_time_ = 0;  // rows in front that had this time
};

struct ImportReport {
  size_t imported = 0;
  size_t rejected = 0;
  int64_t line = 1;  // up to here everything is in the outbox, or rejected
};

// A row that was not imported, as it stands in the file, and why.
using Rejected = std::function<Status(const CsvRow& row, const std::string& why)>;

// Appends every row of `rows` to `outbox`, some at a time, each durable before the next are read.
// Ends with the outbox's failure (kOverloaded: it is full), the file's, or that of `rejected`;
// `report` is right then too.
Status import_csv(CsvReader& rows, log::EventLog& outbox, const Clock& clock,
                  const Rejected& rejected, ImportReport& report);

}  // namespace ca4::cli
