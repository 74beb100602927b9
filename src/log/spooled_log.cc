#include "log/spooled_log.h"

#include <iterator>
#include <utility>

#include "base/halves.h"
#include "log/spool_forwarder.h"
#include "log/spool_router.h"

namespace ca4::log {

Result<std::unique_ptr<SpooledLog>> SpooledLog::open(std::unique_ptr<EmbeddedLog> spool,
                                                     std::unique_ptr<EventLog> target,
                                                     KeepRefused keep_refused,
                                                     SpooledLogOptions options,
                                                     const Clock& clock) {
  Result<std::unique_ptr<Consumer>> reader = spool->consumer(kForwarderGroup);
  if (!reader) return reader.status();
  const Result<std::vector<PartitionLag>> waiting = spool->lag(kForwarderGroup);
  if (!waiting) return waiting.status();
  std::unique_ptr<SpooledLog> log(
      new SpooledLog(std::move(spool), std::move(target), std::move(options)));
  log->router_ = std::make_unique<SpoolRouter>(*log->spool_, *log->target_, log->options_, clock,
                                               waiting->at(0),
                                               [self = log.get()] { self->forwarder_->wake(); });
  log->forwarder_ = std::make_unique<SpoolForwarder>(
      *log->router_, std::move(*reader), *log->target_, std::move(keep_refused), log->options_);
  log->forwarder_->start();
  return log;
}

SpooledLog::SpooledLog(std::unique_ptr<EmbeddedLog> spool, std::unique_ptr<EventLog> target,
                       SpooledLogOptions options)
    : options_(std::move(options)), spool_(std::move(spool)), target_(std::move(target)) {}

SpooledLog::~SpooledLog() {
  close();
}

void SpooledLog::append(std::vector<NewRecord> batch, AppendDone done) {
  router_->append(std::move(batch), std::move(done));
}

Status SpooledLog::admits(const NewRecord& record) const {
  const Status admitted = target_->admits(record);
  return admitted.is_ok() ? spool_->admits(record) : admitted;
}

Result<std::unique_ptr<Consumer>> SpooledLog::consumer(const std::string& group) {
  return target_->consumer(group);
}

Result<std::unique_ptr<Consumer>> SpooledLog::scan(From from) {
  return target_->scan(from);
}

Result<std::vector<PartitionLag>> SpooledLog::lag(const std::string& group) {
  return target_->lag(group);
}

Result<Description> SpooledLog::describe() {
  return target_->describe();
}

Result<std::vector<Record>> SpooledLog::newest() {
  // Asked before the target is: what the forwarder sends on meanwhile is in one of both.
  const bool waiting = router_->waiting_records() > 0;
  Result<std::vector<Record>> newest = target_->newest();
  const bool away = !newest && !is_final_refusal(newest.status());
  if (!newest && !away) return newest;
  if (!away && !waiting) return newest;
  Result<std::vector<Record>> spooled = spool_->newest();
  if (!spooled) return spooled;
  for (Record& record : *spooled) record.position.partition = kOutboxPartition;
  if (away) return spooled;
  newest->insert(newest->end(), std::make_move_iterator(spooled->begin()),
                 std::make_move_iterator(spooled->end()));
  return newest;
}

Status SpooledLog::ready() {
  return router_->ready();
}

size_t SpooledLog::queue_depth() const {
  return router_->depth();
}

std::optional<OutboxStatus> SpooledLog::outbox() const {
  return router_->status();
}

void SpooledLog::close() {
  std::lock_guard lock(close_mutex_);
  if (std::exchange(closed_, true)) return;
  router_->refuse_new();
  forwarder_->stop();
  // Whatever the target still has it answers now.
  target_->close();
  router_->spool_the_rest();
  spool_->close();
}

}  // namespace ca4::log
