#include "cli/left_behind.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/data_layout.h"
#include "cli/ports.h"
#include "cli/spool_file.h"
#include "log/inspect.h"

namespace ca4::cli {
namespace {

int64_t waiting_in_outbox(const config::Settings& settings) {
  Result<log::LogInspector> outbox = log::LogInspector::open_file(outbox_file(settings));
  if (!outbox) return 0;
  const Result<Waiting> waiting = waiting_in(*outbox);
  return waiting ? waiting->records : 0;
}

// What one of the groups has yet to read; one that never read has all of it before it.
int64_t unread_in_log(const config::Settings& settings) {
  auto log = log::LogInspector::open(log_dir(settings), settings.log.topic);
  if (!log) return 0;
  const Result<log::LogSummary> summary = log->summary();
  if (!summary) return 0;
  int64_t unread = 0;
  for (const std::string& name : reading_groups(settings)) {
    const auto group = std::ranges::find(summary->groups, name, &log::GroupLag::group);
    const bool known = group != summary->groups.end();
    unread = std::max(unread, known ? group->lag : summary->end - summary->first);
  }
  return unread;
}

}  // namespace

std::vector<std::string> left_behind(const config::Settings& settings) {
  std::vector<std::string> lines;
  const bool on_kafka = !settings.kafka.bootstrap.empty();
  const int64_t in_outbox = uses_outbox(settings) ? 0 : waiting_in_outbox(settings);
  if (in_outbox > 0) {
    lines.push_back(fmt::format(
        "{} acknowledged events wait in the outbox {}, which {}: a start with {} sends them",
        in_outbox, outbox_file(settings),
        on_kafka ? "kafka.outbox = false leaves alone" : "is not used without kafka.bootstrap",
        on_kafka ? "kafka.outbox = true" : "kafka.bootstrap (KAFKA_BOOTSTRAP)"));
  }
  const int64_t in_log = on_kafka ? unread_in_log(settings) : 0;
  if (in_log > 0) {
    lines.push_back(fmt::format(
        "{} acknowledged events of {}/{}.db are not stored or not archived yet, and with "
        "kafka.bootstrap nobody reads that log: `ca4 work` without it (KAFKA_BOOTSTRAP) does",
        in_log, log_dir(settings), settings.log.topic));
  }
  return lines;
}

}  // namespace ca4::cli
