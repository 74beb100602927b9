#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "archive/batch.h"
#include "archive/part.h"
#include "base/clock.h"
#include "verify/marker.h"
#include "verify/poll.h"
#include "verify/processor_checks.h"
#include "verify/suites.h"

namespace ca4::verify {
namespace {

using Steady = std::chrono::steady_clock;

// The archiver polls, writes and commits around its linger; a busy object store takes seconds.
constexpr int64_t kArchiveMarginMs = 15'000;
// A check that waits must end by itself before the list gives it up.
constexpr int64_t kLastWordMs = 2'000;

// One run: what the hops have found out so far. Shared by the checks; one runs at a time.
struct Trip {
  std::string id = marker_id();
  WorkflowOptions options;
  Backends backends;
  Steady::time_point sent;
  std::unique_ptr<log::Consumer> scan;
  std::shared_ptr<log::EventLog> events;
  std::shared_ptr<store::DocumentStore> store;
  std::shared_ptr<archive::Archive> archive;
  log::Position position;
  store::Document document;
  std::vector<std::string> objects;  // the marker's alone, in the order to remove them
  std::string shared_object;         // one that holds other events, too

  Finding seen(std::string_view where) const {
    const double ms = std::chrono::duration<double, std::milli>(Steady::now() - sent).count();
    return Finding::pass(fmt::format("{}, {:.0f} ms after it was sent", where, ms));
  }
};
using TripPtr = std::shared_ptr<Trip>;

// The answer's durable_in in a sentence. Older processors have none.
std::string place_named(const std::string& durable_in) {
  if (durable_in.empty()) return {};
  if (durable_in == "kafka") return ", durable in Kafka";
  if (durable_in == "outbox") return ", durable in the processor's outbox and on its way to Kafka";
  return ", durable in the " + durable_in;
}

// The scan begins before the event is sent, so that it can't be missed.
Finding open_log(Trip& trip) {
  Result<std::shared_ptr<log::EventLog>> events = trip.backends.events();
  if (!events) {
    return Finding::fail(events.status(), trip.backends.log_fix("see `ca4 verify kafka`"));
  }
  trip.events = std::move(*events);
  Result<std::unique_ptr<log::Consumer>> scan = trip.events->scan(log::From::kEnd);
  if (!scan) return Finding::fail(scan.status(), "see `ca4 verify kafka`");
  trip.scan = std::move(*scan);
  // A scan may look for its end only when it is first read.
  const Result<std::vector<log::Record>> first = trip.scan->poll({.wait_ms_max = 0});
  if (!first) return Finding::fail(first.status(), "see `ca4 verify kafka`");
  return Finding::pass("reads from its end on");
}

Finding send(Trip& trip, int64_t timeout_ms) {
  const Processor& processor = trip.options.processor;
  trip.sent = Steady::now();
  const http::FetchOutcome outcome = post_metadata(processor, marker_json(trip.id), timeout_ms);
  if (!outcome.answer) return no_answer(processor, outcome);
  if (outcome.answer->status != 200) return wrong_answer(processor, *outcome.answer);
  const auto json = nlohmann::json::parse(outcome.answer->body, nullptr, false);
  const std::string durable_in = json.is_object() ? json.value("durable_in", "") : "";
  return trip.seen(fmt::format("{} accepted{}", trip.id, place_named(durable_in)));
}

Finding in_log(Trip& trip, int64_t wait_ms) {
  const Result<bool> seen = wait_until(wait_ms, [&]() -> Result<bool> {
    const Result<std::vector<log::Record>> records = trip.scan->poll({.wait_ms_max = 20});
    if (!records) return records.status();
    for (const log::Record& record : *records) {
      if (record.key != trip.id) continue;
      trip.position = record.position;
      return true;
    }
    return false;
  });
  if (!seen) return Finding::fail(seen.status(), "see `ca4 verify kafka`");
  if (!*seen) {
    return Finding::fail("the processor accepted the event, but it is not in this log",
                         "is it this processor's log (data_dir, kafka.bootstrap, log.topic)? While "
                         "Kafka is away the "
                         "event waits in the processor's outbox (`ca4 spool stats`)");
  }
  return trip.seen(
      fmt::format("partition {}, offset {}", trip.position.partition, trip.position.offset));
}

// The next offset that `group` will read of the marker's partition; none when that can't be told.
std::optional<int64_t> committed(Trip& trip, const std::string& group) {
  const Result<std::vector<log::PartitionLag>> rows = trip.events->lag(group);
  if (!rows) return std::nullopt;
  for (const log::PartitionLag& row : *rows) {
    if (row.partition == trip.position.partition) return row.committed;
  }
  return std::nullopt;
}

// The reason, if the marker is the newest dead letter.
std::string dead_letter_reason(Trip& trip) {
  const Result<std::shared_ptr<log::EventLog>> letters = trip.backends.dead_letters();
  if (!letters) return {};
  const Result<std::vector<log::Record>> newest = (*letters)->newest();
  if (!newest) return {};
  for (const log::Record& letter : *newest) {
    if (letter.key != trip.id || letter.headers.empty()) continue;
    return letter.headers.front().second;
  }
  return {};
}

Finding why_not_stored(Trip& trip, int64_t wait_ms) {
  const std::string reason = dead_letter_reason(trip);
  if (!reason.empty()) {
    return Finding::fail("the event became a dead letter: " + reason,
                         "see `ca4 dlq show " + trip.id + "`");
  }
  const std::string& group = trip.backends.groups.at(0);
  const std::optional<int64_t> next = committed(trip, group);
  const double waited_s = static_cast<double>(wait_ms) / 1000;
  if (next && *next > trip.position.offset) {
    return Finding::fail(fmt::format("the worker ({}) has done with the event, but its document is "
                                     "not in this store",
                                     group),
                         "does the worker write into this store (store.mongo_uri, store.database, "
                         "store.collection, data_dir)?");
  }
  return Finding::fail(
      fmt::format("not stored after {:.0f} s: the worker ({}) is at offset {}, the event at {}",
                  waited_s, group, next ? std::to_string(*next) : "?", trip.position.offset),
      "start the worker (`ca4 work`), or look at its log: its store may be away, or much is before "
      "this event");
}

// Where the store is out of sight, the worker's offset tells: it is committed once the store, or
// the dead letters, have the event.
Finding by_worker(Trip& trip, int64_t wait_ms) {
  const std::string& group = trip.backends.groups.at(0);
  const Result<bool> past = wait_until(wait_ms, [&]() -> Result<bool> {
    return committed(trip, group).value_or(0) > trip.position.offset;
  });
  if (!past || !*past || !dead_letter_reason(trip).empty()) return why_not_stored(trip, wait_ms);
  return trip.seen(fmt::format("{} has stored it", group));
}

Finding in_database(Trip& trip, int64_t wait_ms) {
  constexpr const char* kFix = "see `ca4 verify db`";
  // The embedded store is made by the worker, perhaps only now.
  Status opened = Status::ok();
  const Result<bool> seen = wait_until(wait_ms, [&]() -> Result<bool> {
    if (!trip.store) {
      Result<std::shared_ptr<store::DocumentStore>> store = trip.backends.store();
      opened = store.status();
      if (opened.code() == Code::kNotFound) return false;
      if (!store) return store.status();
      trip.store = std::move(*store);
    }
    bool found = false;
    const Status status =
        trip.store->find({.metadata_id = trip.id}, {}, [&](const store::Document& document) {
          trip.document = document;
          return found = true;
        });
    if (!status.is_ok()) return status;
    return found;
  });
  if (!seen) return Finding::fail(seen.status(), kFix);
  if (!opened.is_ok()) return Finding::fail(opened, "start the worker (`ca4 up` or `ca4 work`)");
  if (!*seen) return why_not_stored(trip, wait_ms);
  return trip.seen("stored");
}

// The parts that reach over the marker's offset: one, but for what a crash left twice and what a
// topic of this name held before it was made anew.
Result<std::vector<std::string>> part_keys(Trip& trip) {
  const Result<std::vector<archive::ObjectInfo>> objects =
      trip.archive->list(archive::part_prefix(trip.document));
  if (!objects) return objects.status();
  std::vector<std::string> keys;
  for (const archive::ObjectInfo& object : *objects) {
    if (archive::may_hold(object.key, trip.document)) keys.push_back(object.key);
  }
  return keys;
}

// Whether the part holds the marker, and whether it holds anything else.
Result<bool> find_in_part(Trip& trip, const std::string& key) {
  const Result<std::vector<store::Document>> documents = archive::read_part(*trip.archive, key);
  if (!documents) return documents.status();
  const bool found =
      std::any_of(documents->begin(), documents->end(),
                  [&](const store::Document& document) { return document.metadata_id == trip.id; });
  if (!found) return false;
  if (documents->size() > 1) {
    trip.shared_object = fmt::format("{} ({} events)", key, documents->size());
    return true;
  }
  const std::string stem = key.substr(0, key.size() - archive::kRowsEnding.size());
  // Rows first: rows without their matrix would be damage to a reader.
  trip.objects = {key, fmt::format("{}.d{}.npy", stem, kMarkerDim)};
  return true;
}

Finding in_archive(Trip& trip, int64_t wait_ms) {
  constexpr const char* kFix = "see `ca4 verify archive`";
  Result<std::shared_ptr<archive::Archive>> opened = trip.backends.archive();
  if (!opened) return Finding::fail(opened.status(), kFix);
  trip.archive = std::move(*opened);
  const Result<bool> seen = wait_until(wait_ms, [&]() -> Result<bool> {
    const Result<std::vector<std::string>> keys = part_keys(trip);
    if (!keys) return keys.status();
    for (const std::string& key : *keys) {
      Result<bool> found = find_in_part(trip, key);
      if (!found || *found) return found;
    }
    return false;
  });
  if (!seen) return Finding::fail(seen.status(), kFix);
  if (*seen) return trip.seen(trip.objects.empty() ? trip.shared_object : trip.objects.front());
  const std::optional<int64_t> next = committed(trip, trip.backends.archive_group);
  return Finding::fail(
      fmt::format("not archived after {} s: the archiver ({}) is at offset {}, the event at {}",
                  wait_ms / 1000, trip.backends.archive_group, next ? std::to_string(*next) : "?",
                  trip.position.offset),
      "does the worker archive (archive.enabled), here, and is its archive.linger_ms the one that "
      "this command knows? --timeout-s waits longer");
}

// An object is removed only when it is the marker's alone and the archiver has committed past it:
// until then it may write the object again, with other events in it.
Finding remove_objects(Trip& trip, int64_t wait_ms) {
  if (!trip.shared_object.empty()) {
    return Finding::pass("stays: it shares an object with other events, and its pipeline tells it");
  }
  const Result<bool> final = wait_until(wait_ms, [&]() -> Result<bool> {
    return committed(trip, trip.backends.archive_group).value_or(0) > trip.position.offset;
  });
  if (!final || !*final) return Finding::pass("stays: the archiver has not committed it yet");
  for (const std::string& key : trip.objects) {
    if (const Status removed = trip.archive->remove(key); !removed.is_ok()) {
      return Finding::fail(removed, "remove " + key + " by hand; may this user delete?");
    }
  }
  return Finding::pass("removed");
}

Finding remove_document(Trip& trip) {
  const Status removed = trip.store->remove(trip.id);
  if (!removed.is_ok()) return Finding::fail(removed, "may this user delete?");
  const Result<size_t> old = sweep(*trip.store, SystemClock().now_us());
  return Finding::pass(!old || *old == 0 ? "removed; the log keeps the event"
                                         : fmt::format("removed, and {} old markers", *old));
}

}  // namespace

void workflow(Checklist& list, const WorkflowOptions& options, const Backends& backends) {
  const auto trip = std::make_shared<Trip>();
  trip->options = options;
  trip->backends = backends;
  const int64_t wait_ms = list.timeout_ms();
  const int64_t limit_ms = wait_ms + kLastWordMs;
  const auto hop = [&](const char* name, std::function<Finding(Trip&)> look, int64_t most_ms) {
    return list.check(name, [trip, look = std::move(look)] { return look(*trip); }, most_ms);
  };
  if (!hop("log-opens", open_log, limit_ms)) return;
  if (!hop("send", [=](Trip& of) { return send(of, wait_ms); }, limit_ms)) return;
  if (!hop("log", [=](Trip& of) { return in_log(of, wait_ms); }, limit_ms)) return;
  if (options.until == Hop::kLog) return;
  if (backends.workers_elsewhere) {
    hop("worker", [=](Trip& of) { return by_worker(of, wait_ms); }, limit_ms);
    list.check("database", [] { return Finding::skip(kElsewhere); });
    return;
  }
  if (!hop("database", [=](Trip& of) { return in_database(of, wait_ms); }, limit_ms)) return;
  if (options.until == Hop::kArchive && !backends.archive) {
    list.check("archive", [] { return Finding::skip("archive.enabled is false"); });
  } else if (options.until == Hop::kArchive) {
    const int64_t archive_ms = std::max(wait_ms, options.archive_linger_ms + kArchiveMarginMs);
    if (hop(
            "archive", [=](Trip& of) { return in_archive(of, archive_ms); },
            archive_ms + kLastWordMs)) {
      hop("clean-archive", [=](Trip& of) { return remove_objects(of, wait_ms); }, limit_ms);
    }
  }
  hop("clean-database", remove_document, limit_ms);
}

}  // namespace ca4::verify
