#include "cli/left_behind.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "cli/data_layout.h"
#include "cli/ports.h"
#include "cli/spool_file.h"
#include "log/inspect.h"
#include "log/log_files.h"
#include "worker/archiver.h"
#include "worker/worker.h"

namespace ca4::cli {
namespace {

namespace fs = std::filesystem;

int64_t waiting_in_outbox(const std::string& file) {
  Result<log::LogInspector> outbox = log::LogInspector::open_file(file);
  if (!outbox) return 0;
  const Result<Waiting> waiting = waiting_in(*outbox);
  return waiting ? waiting->records : 0;
}

// Nothing where it can't be said.
std::optional<log::LogSummary> summary_of(const config::Settings& settings,
                                          const std::string& topic) {
  auto log = log::LogInspector::open(log_dir(settings), topic);
  if (!log) return std::nullopt;
  Result<log::LogSummary> summary = log->summary();
  return summary ? std::optional(std::move(*summary)) : std::nullopt;
}

// What one of the groups has yet to read; one that never read has all of it before it.
int64_t unread(const log::LogSummary& log, const std::vector<std::string>& groups) {
  int64_t most = 0;
  for (const std::string& name : groups) {
    const auto group = std::ranges::find(log.groups, name, &log::GroupLag::group);
    const bool known = group != log.groups.end();
    most = std::max(most, known ? group->lag : log.end - log.first);
  }
  return most;
}

// Who reads the log of another topic, whose settings are not known: whether it was archived, it
// knows itself.
std::vector<std::string> readers_of(const log::LogSummary& log) {
  std::vector<std::string> groups = {worker::kWorkerGroup};
  for (const log::GroupLag& group : log.groups) {
    if (group.group == worker::kArchiverGroup) groups.push_back(group.group);
  }
  return groups;
}

// The topics that have a TOPIC.db in this folder.
std::vector<std::string> topics_in(const std::string& folder) {
  std::vector<std::string> topics;
  std::error_code error;
  for (fs::directory_iterator file(folder, error), end; !error && file != end;
       file.increment(error)) {
    const fs::path& path = file->path();
    const std::string stem = path.stem().string();
    const bool is_log =
        path.extension() == ".db" && !stem.ends_with(".offsets") && !stem.ends_with(".dlq");
    if (is_log) topics.push_back(stem);
  }
  std::ranges::sort(topics);
  return topics;
}

// Whether a process writes it now. False, too, of what can be no topic.
bool is_written(const std::string& folder, const std::string& topic) {
  const Result<log::LogPaths> paths = log::log_paths(folder, topic);
  return paths && log::FileLock::is_held(paths->lock);
}

std::string topic_setting(const std::string& topic) {
  return fmt::format("log.topic = \"{}\" (KAFKA_TOPIC)", topic);
}

void tell_outboxes(const config::Settings& settings, std::vector<std::string>& lines) {
  const bool on_kafka = !settings.kafka.bootstrap.empty();
  const std::string own = outbox_file(settings);
  const int64_t in_own = uses_outbox(settings) ? 0 : waiting_in_outbox(own);
  if (in_own > 0) {
    lines.push_back(fmt::format(
        "{} acknowledged events wait in the outbox {}, which {}: a start with {} sends them",
        in_own, own,
        on_kafka ? "kafka.outbox = false leaves alone" : "is not used without kafka.bootstrap",
        on_kafka ? "kafka.outbox = true" : "kafka.bootstrap (KAFKA_BOOTSTRAP)"));
  }
  config::Settings other = settings;
  other.kafka.outbox_file.clear();
  for (const std::string& topic : topics_in(settings.data_dir + "/outbox")) {
    other.log.topic = topic;
    const std::string file = outbox_file(other);
    std::error_code error;
    if (fs::equivalent(file, own, error)) continue;
    if (log::FileLock::is_held(log::log_paths_of_file(file).lock)) continue;
    const int64_t waiting = waiting_in_outbox(file);
    if (waiting == 0) continue;
    lines.push_back(fmt::format(
        "{} acknowledged events wait in the outbox {}, which is not that of these settings: a "
        "start on Kafka with {}{} sends them",
        waiting, file, topic_setting(topic),
        settings.kafka.outbox_file.empty() ? ""
                                           : " and without kafka.outbox_file (KAFKA_OUTBOX_FILE)"));
  }
}

void tell_logs(const config::Settings& settings, std::vector<std::string>& lines) {
  const bool on_kafka = !settings.kafka.bootstrap.empty();
  const auto own = on_kafka ? summary_of(settings, settings.log.topic) : std::nullopt;
  const int64_t in_own = own ? unread(*own, reading_groups(settings)) : 0;
  if (in_own > 0) {
    lines.push_back(fmt::format(
        "{} acknowledged events of {}/{}.db are not stored or not archived yet, and with "
        "kafka.bootstrap nobody reads that log: `ca4 work` without it (KAFKA_BOOTSTRAP) does",
        in_own, log_dir(settings), settings.log.topic));
  }
  config::Settings other = settings;
  for (const std::string& topic : topics_in(log_dir(settings))) {
    if (topic == settings.log.topic) continue;
    other.log.topic = topic;
    const bool has_processor = is_written(log_dir(settings), topic);
    const bool has_worker = is_written(log_dir(settings), dead_letter_topic(other));
    if (has_processor || has_worker) continue;
    const auto log = summary_of(settings, topic);
    const int64_t left = log ? unread(*log, readers_of(*log)) : 0;
    if (left == 0) continue;
    lines.push_back(fmt::format(
        "{} acknowledged events of {}/{}.db are not stored or not archived yet, and nobody reads "
        "that log: `ca4 work` with {}{} does",
        left, log_dir(settings), topic, topic_setting(topic),
        on_kafka ? " and without kafka.bootstrap (KAFKA_BOOTSTRAP)" : ""));
  }
}

}  // namespace

std::vector<std::string> left_behind(const config::Settings& settings) {
  std::vector<std::string> lines;
  tell_outboxes(settings, lines);
  tell_logs(settings, lines);
  return lines;
}

}  // namespace ca4::cli
