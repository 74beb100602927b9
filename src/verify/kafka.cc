#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/clock.h"
#include "verify/backends.h"
#include "verify/marker.h"
#include "verify/poll.h"
#include "verify/suites.h"

namespace ca4::verify {
namespace {

constexpr const char* kBrokerFix =
    "do the brokers run (kubectl -n platform get pods), and does kafka.bootstrap reach them, by "
    "the "
    "tunnel (`ca4 tunnel --status`)?";

using LogSlot = Slot<log::EventLog>;

// Of a topic that is there: every partition has a leader, and all its replicas follow it.
Finding topic_state(const log::Description& topic) {
  std::vector<int32_t> without_leader;
  std::vector<std::string> behind;
  size_t replicas = SIZE_MAX;
  for (const log::PartitionState& row : topic.partitions) {
    if (row.leader < 0) without_leader.push_back(row.partition);
    if (row.in_sync < row.replicas) {
      behind.push_back(fmt::format("{} ({} of {})", row.partition, row.in_sync, row.replicas));
    }
    replicas = std::min(replicas, row.replicas);
  }
  if (topic.partitions.empty()) return Finding::fail("it has no partition", "`ca4 topics ensure`");
  if (!without_leader.empty()) {
    return Finding::fail(
        fmt::format("no leader for partitions {}", fmt::join(without_leader, ", ")),
        "start the brokers that hold them");
  }
  if (!behind.empty()) {
    return Finding::fail(
        fmt::format("replicas not in sync: partitions {}", fmt::join(behind, ", ")),
        "wait, or look at the brokers that are missing: one more lost may stop writing");
  }
  return Finding::pass(fmt::format("{} partitions with {} replicas, all in sync",
                                   topic.partitions.size(), replicas));
}

Finding topic_there(const Open<log::EventLog>& open, const std::string& name) {
  const Result<std::shared_ptr<log::EventLog>> opened = open();
  const Result<log::Description> topic =
      opened ? (*opened)->describe() : Result<log::Description>(opened.status());
  if (topic.status().code() == Code::kNotFound) {
    return Finding::fail(topic.status(), fmt::format("make {} with `ca4 topics ensure`", name));
  }
  if (!topic) return Finding::fail(topic.status(), kBrokerFix);
  if (topic->brokers.empty()) return Finding::pass(name + ": in files of this machine");
  Finding state = topic_state(*topic);
  state.detail = fmt::format("{}: {}", name, state.detail);
  return state;
}

Finding brokers_there(const Open<log::EventLog>& open, const LogSlot& slot, const char* fix) {
  if (const Status opened = fill(open, slot); !opened.is_ok()) return Finding::fail(opened, fix);
  const Result<log::Description> where = (*slot)->describe();
  // The next check says which topic is missing.
  if (where.status().code() == Code::kNotFound) return Finding::pass("they answer");
  if (!where) return Finding::fail(where.status(), kBrokerFix);
  if (where->brokers.empty()) return Finding::skip("the log is embedded: it has no brokers");
  return Finding::pass(fmt::format("{}", fmt::join(where->brokers, ", ")));
}

// Appends a marker and reads it back from the log's end on.
Finding in_and_out(const Open<log::EventLog>& open, const std::string& id, int64_t wait_ms) {
  if (!open) {
    return Finding::skip(
        "the embedded log has one writer, the processor: `ca4 verify workflow` goes through it");
  }
  const Result<std::shared_ptr<log::EventLog>> events = open();
  if (!events) return Finding::fail(events.status(), kBrokerFix);
  const Result<std::unique_ptr<log::Consumer>> scan = (*events)->scan(log::From::kEnd);
  if (!scan) return Finding::fail(scan.status(), kBrokerFix);
  const event::Event marker = marker_event(id, SystemClock().now_us());
  const Result<std::vector<log::Position>> kept =
      log::append_and_wait(**events, {{marker.metadata_id, event::encode(marker), {}}});
  if (!kept) return Finding::fail(kept.status(), kBrokerFix);
  log::Position position;
  const Result<bool> seen = wait_until(wait_ms, [&]() -> Result<bool> {
    const Result<std::vector<log::Record>> records = (*scan)->poll({.wait_ms_max = 100});
    if (!records) return records.status();
    for (const log::Record& record : *records) {
      if (record.key == id) position = record.position;
      if (record.key == id) return true;
    }
    return false;
  });
  if (!seen) return Finding::fail(seen.status(), kBrokerFix);
  if (!*seen) return Finding::fail("written, acknowledged, and never read back", kBrokerFix);
  return Finding::pass(fmt::format("{} at partition {}, offset {}; the log keeps it", id,
                                   position.partition, position.offset));
}

constexpr const char* kLater =
    "the next `ca4 verify db` that reaches the store removes the marker's document";

// A worker makes a document of the marker, as of any event.
Finding remove_document(const Open<store::DocumentStore>& open, const std::string& id,
                        int64_t wait_ms) {
  const Result<std::shared_ptr<store::DocumentStore>> store = open();
  if (!store) return Finding::skip(fmt::format("{}; {}", store.status().message(), kLater));
  const Result<bool> seen = wait_until(wait_ms, [&]() -> Result<bool> {
    const Result<uint64_t> count = (*store)->count({.metadata_id = id});
    if (!count) return count.status();
    return *count > 0;
  });
  if (!seen) return Finding::skip(fmt::format("{}; {}", seen.status().message(), kLater));
  if (!*seen) return Finding::skip(fmt::format("no worker stored it; {}", kLater));
  const Status removed = (*store)->remove(id);
  if (!removed.is_ok()) return Finding::fail(removed, kLater);
  return Finding::pass("the marker's document is removed");
}

Finding group_lag(const LogSlot& slot, const std::vector<std::string>& groups) {
  std::vector<std::string> said;
  for (const std::string& group : groups) {
    const Result<std::vector<log::PartitionLag>> rows = (*slot)->lag(group);
    if (!rows) return Finding::fail(rows.status(), kBrokerFix);
    int64_t lag = 0;
    for (const log::PartitionLag& row : *rows) lag += row.lag();
    said.push_back(fmt::format("{} {}", group, lag));
  }
  return Finding::pass(fmt::format("records not worked on yet: {}", fmt::join(said, ", ")));
}

}  // namespace

void kafka(Checklist& list, const LogOptions& options, const Backends& backends) {
  const LogSlot slot = make_slot<log::EventLog>();
  list.check("brokers", [open = backends.events, slot, fix = backends.log_fix(kBrokerFix)] {
    return brokers_there(open, slot, fix);
  });
  if (list.results().back().finding.outcome == Outcome::kFail) return;
  const bool there = list.check(
      "topic", [open = backends.events, name = options.topic] { return topic_there(open, name); });
  list.check("dead-letter-topic", [open = backends.dead_letters, name = options.dead_letter_topic] {
    return topic_there(open, name);
  });
  if (!there) return;
  const std::string id = marker_id();
  // Half of the check's time, so that it ends by itself.
  const int64_t wait_ms = list.timeout_ms() / 2;
  if (list.check("write-and-read",
                 [=, open = backends.events_write] { return in_and_out(open, id, wait_ms); })) {
    list.check("clean-up", [=, open = backends.store, elsewhere = backends.workers_elsewhere] {
      if (elsewhere) return Finding::skip(fmt::format("{}; {}", kElsewhere, kLater));
      return remove_document(open, id, wait_ms);
    });
  }
  list.check("lag", [slot, groups = backends.groups] { return group_lag(slot, groups); });
}

}  // namespace ca4::verify
