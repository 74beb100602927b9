#include "log/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <map>

namespace ca4::log {
namespace {

using Clock = std::chrono::steady_clock;

// One reading to the ends of some partitions.
class Reading {
 public:
  Reading(Consumer& consumer, const std::vector<PartitionLag>& rows, int64_t stall_ms_max)
      : consumer_(consumer), stall_(stall_ms_max) {
    for (const PartitionLag& row : rows) {
      if (row.lag() > 0) ends_[row.partition] = row.end;
    }
  }

  Result<std::vector<Record>> next() {
    const auto began = Clock::now();
    while (!ends_.empty()) {
      Result<std::vector<Record>> polled = consumer_.poll({});
      if (!polled) return polled;
      for (const Record& record : *polled) {
        const auto end = ends_.find(record.position.partition);
        if (end != ends_.end() && record.position.offset + 1 >= end->second) ends_.erase(end);
      }
      std::erase_if(ends_, [this](const auto& end) {
        return consumer_.end_seen(end.first).value_or(end.second - 1) >= end.second;
      });
      if (!polled->empty()) return polled;
      if (Clock::now() - began >= stall_) return stalled();
    }
    return std::vector<Record>();
  }

 private:
  Status stalled() const {
    return {Code::kUnavailable,
            fmt::format("nothing came for {} ms, although {} partitions are not at their end, the "
                        "first of them {} (which ends at {})",
                        stall_.count(), ends_.size(), ends_.begin()->first, ends_.begin()->second)};
  }

  Consumer& consumer_;
  const std::chrono::milliseconds stall_;
  std::map<int32_t, int64_t> ends_;  // of the partitions that are not there yet
};

}  // namespace

const std::string* find_header(const Headers& headers, std::string_view name) {
  const auto found = std::find_if(headers.begin(), headers.end(),
                                  [name](const auto& header) { return header.first == name; });
  return found == headers.end() ? nullptr : &found->second;
}

std::string_view name_of(OutboxState state) {
  switch (state) {
    case OutboxState::kDirect:
      return "direct";
    case OutboxState::kTurning:
      return "turning";
    case OutboxState::kSpooling:
      return "spooling";
    case OutboxState::kReturning:
      return "returning";
  }
  return "unknown";
}

Result<std::vector<Position>> append_and_wait(EventLog& log, std::vector<NewRecord> batch) {
  // Shared, because the log may drop its copy of the callback after this function has returned.
  auto outcome = std::make_shared<std::promise<Result<std::vector<Position>>>>();
  auto future = outcome->get_future();
  log.append(std::move(batch), [outcome](Result<std::vector<Position>> result) {
    outcome->set_value(std::move(result));
  });
  return future.get();
}

NextRecords read_until(Consumer& consumer, const std::vector<PartitionLag>& rows,
                       int64_t stall_ms_max) {
  auto reading = std::make_shared<Reading>(consumer, rows, stall_ms_max);
  return [reading] { return reading->next(); };
}

Result<NextRecords> read_to_end(EventLog& log, int64_t stall_ms_max) {
  const Result<std::vector<PartitionLag>> rows = log.lag(kNobody);
  if (!rows) return rows.status();
  Result<std::unique_ptr<Consumer>> scanned = log.scan(From::kOldest);
  if (!scanned) return scanned.status();
  std::shared_ptr<Consumer> consumer = std::move(*scanned);
  return NextRecords(
      [consumer, next = read_until(*consumer, *rows, stall_ms_max)] { return next(); });
}

}  // namespace ca4::log
