#include "worker/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace ca4::worker {

namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry, const char* name,
                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

}  // namespace

struct LoopMetrics::Impl {
  Impl(prometheus::Registry& registry, const std::string& group_name)
      : group(group_name),
        records(prometheus::BuildHistogram()
                    .Name("ca4_batch_records")
                    .Help("Records in a batch that was worked on")
                    .Register(registry)
                    .Add({{"group", group}}, Buckets{1, 4, 16, 64, 256, 512, 1024, 4096})),
        seconds(prometheus::BuildHistogram()
                    .Name("ca4_batch_process_seconds")
                    .Help("Time from a polled batch to its committed offsets, retries included")
                    .Register(registry)
                    .Add({{"group", group}},
                         Buckets{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100})),
        retries(counters(registry, "ca4_retries_total", "Failed steps that were tried again")),
        lag(prometheus::BuildGauge()
                .Name("ca4_lag_records")
                .Help("Records of the log that the group has not committed yet")
                .Register(registry)
                .Add({{"group", group}})) {}

  std::string group;
  prometheus::Histogram& records;
  prometheus::Histogram& seconds;
  prometheus::Family<prometheus::Counter>& retries;
  prometheus::Gauge& lag;
};

LoopMetrics::LoopMetrics(prometheus::Registry& registry, const std::string& group)
    : impl_(std::make_unique<Impl>(registry, group)) {}
LoopMetrics::~LoopMetrics() = default;

void LoopMetrics::batch(size_t records, double seconds) {
  impl_->records.Observe(static_cast<double>(records));
  impl_->seconds.Observe(seconds);
}

void LoopMetrics::retry(std::string_view step) {
  impl_->retries.Add({{"group", impl_->group}, {"step", std::string(step)}}).Increment();
}

void LoopMetrics::lag(int64_t records) {
  impl_->lag.Set(static_cast<double>(records));
}

struct DocumentMetrics::Impl {
  explicit Impl(prometheus::Registry& registry)
      : documents(counters(registry, "ca4_documents_total", "Events given to the document store")),
        inserted(documents.Add({{"result", "inserted"}})),
        updated(documents.Add({{"result", "updated"}})),
        stale(documents.Add({{"result", "stale"}})),
        unchanged(documents.Add({{"result", "unchanged"}})),
        dead_letters(counters(registry, "ca4_dead_letters_total",
                              "Events that can't be stored, kept with their reason")),
        end_to_end(prometheus::BuildHistogram()
                       .Name("ca4_end_to_end_seconds")
                       .Help("Time from an event's acceptance until it is in the store")
                       .Register(registry)
                       .Add({}, Buckets{0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 600, 3600})) {
    // Present from the start, so that a rate over them sees the first one.
    for (const char* stage : {"decode", "transform", "store"}) {
      dead_letters.Add({{"stage", stage}});
    }
  }

  prometheus::Family<prometheus::Counter>& documents;
  prometheus::Counter& inserted;
  prometheus::Counter& updated;
  prometheus::Counter& stale;
  prometheus::Counter& unchanged;
  prometheus::Family<prometheus::Counter>& dead_letters;
  prometheus::Histogram& end_to_end;
};

DocumentMetrics::DocumentMetrics(prometheus::Registry& registry)
    : impl_(std::make_unique<Impl>(registry)) {}
DocumentMetrics::~DocumentMetrics() = default;

void DocumentMetrics::stored(store::Outcome outcome) {
  switch (outcome) {
    case store::Outcome::kInserted:
      return impl_->inserted.Increment();
    case store::Outcome::kUpdated:
      return impl_->updated.Increment();
    case store::Outcome::kStale:
      return impl_->stale.Increment();
    case store::Outcome::kUnchanged:
      return impl_->unchanged.Increment();
    case store::Outcome::kRetry:
    case store::Outcome::kDeadLetter:
      return;
  }
}

void DocumentMetrics::dead_letter(std::string_view stage) {
  impl_->dead_letters.Add({{"stage", std::string(stage)}}).Increment();
}

void DocumentMetrics::end_to_end(double seconds) {
  impl_->end_to_end.Observe(seconds);
}

struct ArchiveMetrics::Impl {
  explicit Impl(prometheus::Registry& registry)
      : objects(counters(registry, "ca4_archive_objects_total", "Objects put into the archive")
                    .Add({})),
        bytes(counters(registry, "ca4_archive_bytes_total", "Bytes of objects put").Add({})),
        skipped(counters(registry, "ca4_archive_skipped_records_total",
                         "Records not archived because they can't be transformed")
                    .Add({})) {}

  prometheus::Counter& objects;
  prometheus::Counter& bytes;
  prometheus::Counter& skipped;
};

ArchiveMetrics::ArchiveMetrics(prometheus::Registry& registry)
    : impl_(std::make_unique<Impl>(registry)) {}
ArchiveMetrics::~ArchiveMetrics() = default;

void ArchiveMetrics::object(size_t bytes) {
  impl_->objects.Increment();
  impl_->bytes.Increment(static_cast<double>(bytes));
}

void ArchiveMetrics::skipped(size_t records) {
  impl_->skipped.Increment(static_cast<double>(records));
}

}  // namespace ca4::worker
