#include "worker/archiver.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>
#include <vector>

#include "archive/batch.h"
#include "worker/transform.h"

namespace ca4::worker {

Archiver::Archiver(log::EventLog& source, archive::Archive& archive, const Clock& clock,
                   prometheus::Registry& registry, ArchiverOptions options)
    : source_(source),
      archive_(archive),
      clock_(clock),
      loop_metrics_(registry, kArchiverGroup),
      archive_metrics_(registry),
      loop_(source,
            {.group = kArchiverGroup,
             .records_max = options.records_max,
             .bytes_max = options.bytes_max,
             .linger_ms = options.linger_ms,
             .poll_wait_ms_max = options.poll_wait_ms_max,
             .backoff = options.backoff},
            loop_metrics_) {}

void Archiver::run() {
  // Wrong settings are better told now than with the first event.
  if (const Status ready = archive_.ping(); !ready.is_ok()) {
    spdlog::warn("{}: the archive is not ready, what is accepted waits in the log: {}",
                 kArchiverGroup, ready.to_string());
  }
  loop_.run([this](std::span<const log::Record> batch) { return handle(batch); });
}

void Archiver::stop() {
  loop_.stop();
}

bool Archiver::handle(std::span<const log::Record> batch) {
  std::vector<store::Document> documents;
  documents.reserve(batch.size());
  const int64_t now_us = clock_.now_us();
  for (const log::Record& record : batch) {
    store::Document document;
    Failure failure;
    if (to_document(record, source_.topic(), now_us, document, failure)) {
      documents.push_back(std::move(document));
    }
  }
  archive_metrics_.skipped(batch.size() - documents.size());
  if (documents.empty()) return true;

  std::vector<archive::Object> objects;
  const bool made = loop_.retry("archive_encode", [&] {
    Result<std::vector<archive::Object>> encoded = archive::archive_objects(documents);
    if (encoded) objects = std::move(*encoded);
    return encoded.status();
  });
  if (!made) return false;
  for (const archive::Object& object : objects) {
    const bool put = loop_.retry("archive_put", [&] { return put_once(object); });
    if (!put) return false;
    archive_metrics_.object(object.body.size());
  }
  return true;
}

Status Archiver::put_once(const archive::Object& object) {
  const auto start = std::chrono::steady_clock::now();
  Status status = archive_.put(object.key, object.body, object.content_type);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  archive_metrics_.put(status.is_ok(), took.count());
  return status;
}

}  // namespace ca4::worker
