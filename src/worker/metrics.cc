#include "worker/metrics.h"

#include <cmath>
#include <map>

#include "ops/families.h"

namespace ca4::worker {

struct LagGauges::Impl {
  Impl(prometheus::Registry& registry, std::string group_name)
      : group(std::move(group_name)), family(ops::gauges(registry, "ca4_lag_records")) {}

  std::string group;
  prometheus::Family<prometheus::Gauge>& family;
  std::map<int32_t, prometheus::Gauge*> partitions;
};

LagGauges::LagGauges(prometheus::Registry& registry, const std::string& group)
    : impl_(std::make_unique<Impl>(registry, group)) {}
LagGauges::~LagGauges() = default;

void LagGauges::set(const Result<std::vector<log::PartitionLag>>& rows) {
  if (!rows) {
    for (const auto& [partition, gauge] : impl_->partitions) gauge->Set(std::nan(""));
    return;
  }
  for (const log::PartitionLag& row : *rows) {
    prometheus::Gauge*& gauge = impl_->partitions[row.partition];
    if (gauge == nullptr) {
      gauge = &impl_->family.Add(
          {{"group", impl_->group}, {"partition", std::to_string(row.partition)}});
    }
    gauge->Set(static_cast<double>(row.lag()));
  }
}

struct LoopMetrics::Impl {
  Impl(prometheus::Registry& registry, const std::string& group_name)
      : group(group_name),
        records(ops::histogram(registry, "ca4_batch_records", {{"group", group}})),
        bytes(ops::histogram(registry, "ca4_batch_bytes", {{"group", group}})),
        seconds(ops::histogram(registry, "ca4_batch_process_seconds", {{"group", group}})),
        age(ops::gauges(registry, "ca4_batch_age_seconds").Add({{"group", group}})),
        retries(ops::counters(registry, "ca4_retries_total")),
        failing(ops::gauges(registry, "ca4_step_failing")),
        lag(registry, group) {}

  prometheus::Labels labels(std::string_view step) const {
    return {{"group", group}, {"step", std::string(step)}};
  }

  std::string group;
  prometheus::Histogram& records;
  prometheus::Histogram& bytes;
  prometheus::Histogram& seconds;
  prometheus::Gauge& age;
  prometheus::Family<prometheus::Counter>& retries;
  prometheus::Family<prometheus::Gauge>& failing;
  LagGauges lag;
};

LoopMetrics::LoopMetrics(prometheus::Registry& registry, const std::string& group)
    : impl_(std::make_unique<Impl>(registry, group)) {}
LoopMetrics::~LoopMetrics() = default;

void LoopMetrics::batch(size_t records, size_t bytes, double seconds) {
  impl_->records.Observe(static_cast<double>(records));
  impl_->bytes.Observe(static_cast<double>(bytes));
  impl_->seconds.Observe(seconds);
}

void LoopMetrics::age(double seconds) {
  impl_->age.Set(seconds);
}

void LoopMetrics::retry(std::string_view step) {
  impl_->retries.Add(impl_->labels(step)).Increment();
}

void LoopMetrics::failing(std::string_view step, bool fails) {
  impl_->failing.Add(impl_->labels(step)).Set(fails ? 1 : 0);
}

void LoopMetrics::lag(const std::vector<log::PartitionLag>& rows) {
  impl_->lag.set(rows);
}

struct DocumentMetrics::Impl {
  explicit Impl(prometheus::Registry& registry)
      : documents(ops::counters(registry, "ca4_documents_total")),
        inserted(documents.Add({{"result", "inserted"}})),
        updated(documents.Add({{"result", "updated"}})),
        stale(documents.Add({{"result", "stale"}})),
        unchanged(documents.Add({{"result", "unchanged"}})),
        dead_letters(ops::counters(registry, "ca4_dead_letters_total")),
        end_to_end(ops::histogram(registry, "ca4_end_to_end_seconds")) {
    // Present from the start, so that a rate over them sees the first one.
    dead_letters.Add({{"stage", "decode"}, {"reason", "unreadable"}});
    for (const char* field : {"metadata", "metadata_id", "embedding", "embedding_dim", "extra",
                              "source_uri", "source_type", "model_name", "model_version"}) {
      dead_letters.Add({{"stage", "transform"}, {"reason", field}});
    }
    dead_letters.Add({{"stage", "store"}, {"reason", "refused"}});
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

void DocumentMetrics::dead_letter(std::string_view stage, std::string_view cause) {
  impl_->dead_letters.Add({{"stage", std::string(stage)}, {"reason", std::string(cause)}})
      .Increment();
}

void DocumentMetrics::end_to_end(double seconds) {
  impl_->end_to_end.Observe(seconds);
}

struct ArchiveMetrics::Impl {
  explicit Impl(prometheus::Registry& registry)
      : objects(ops::counters(registry, "ca4_archive_objects_total").Add({})),
        bytes(ops::counters(registry, "ca4_archive_bytes_total").Add({})),
        skipped(ops::counters(registry, "ca4_archive_skipped_records_total").Add({})),
        ok(ops::histogram(registry, "ca4_archive_put_seconds", {{"result", "ok"}})),
        failed(ops::histogram(registry, "ca4_archive_put_seconds", {{"result", "failed"}})) {}

  prometheus::Counter& objects;
  prometheus::Counter& bytes;
  prometheus::Counter& skipped;
  prometheus::Histogram& ok;
  prometheus::Histogram& failed;
};

ArchiveMetrics::ArchiveMetrics(prometheus::Registry& registry)
    : impl_(std::make_unique<Impl>(registry)) {}
ArchiveMetrics::~ArchiveMetrics() = default;

void ArchiveMetrics::put(bool done, double seconds) {
  (done ? impl_->ok : impl_->failed).Observe(seconds);
}

void ArchiveMetrics::object(size_t bytes) {
  impl_->objects.Increment();
  impl_->bytes.Increment(static_cast<double>(bytes));
}

void ArchiveMetrics::skipped(size_t records) {
  impl_->skipped.Increment(static_cast<double>(records));
}

}  // namespace ca4::worker
