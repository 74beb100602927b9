#include "cli/ports.h"

#include "cli/embedded_ports.h"
#include "cli/kafka_ports.h"
#include "cli/mongo_ports.h"
#include "cli/s3_ports.h"
#include "cli/spool_ports.h"
#include "worker/archiver.h"
#include "worker/worker.h"

namespace ca4::cli {
namespace {

template <class T>
Status take(Result<std::unique_ptr<T>> opened, std::unique_ptr<T>& into) {
  if (!opened) return opened.status();
  into = std::move(*opened);
  return Status::ok();
}

bool on_kafka(const Site& site) {
  return !site.settings.kafka.bootstrap.empty();
}

}  // namespace

Result<std::unique_ptr<log::EventLog>> open_events(const Site& site, Roles roles) {
  if (!on_kafka(site)) return embedded_events(site, roles);
  Result<std::unique_ptr<log::EventLog>> events = kafka_events(site, roles);
  // Who works on what is in Kafka, or sends some of it again, has nothing that must wait here.
  if (!events || !roles.accepts) return events;
  return spooled(site, std::move(*events));
}

Result<std::unique_ptr<log::EventLog>> open_dead_letters(const Site& site, bool writes) {
  return on_kafka(site) ? kafka_dead_letters(site, writes) : embedded_dead_letters(site, writes);
}

Result<std::unique_ptr<store::DocumentStore>> open_store(const Site& site, bool read_only) {
  if (!site.settings.store.mongo_uri.empty()) return mongo_store(site);
  return embedded_store(site, read_only);
}

Result<std::unique_ptr<archive::Archive>> open_archive(const Site& site, bool read_only) {
  return site.settings.archive.s3_bucket.empty() ? embedded_archive(site, read_only)
                                                 : s3_archive(site);
}

Result<Ports> open_ports(const Site& site, Roles roles) {
  Ports ports;
  const auto open_letters = [&] {
    return take(open_dead_letters(site, roles.works), ports.dead_letters);
  };
  // First what one worker alone can have: a second one must not get as far as to say whether it
  // archives, which the embedded log's retention goes by.
  Status status = roles.works ? open_letters() : Status::ok();
  if (status.is_ok()) status = take(open_events(site, roles), ports.events);
  if (status.is_ok() && !roles.works) status = open_letters();
  if (!status.is_ok()) return status;
  status = take(open_store(site, false), ports.store);
  if (!status.is_ok()) return status;
  if (roles.works && site.settings.archive.enabled) {
    status = take(open_archive(site, false), ports.archive);
    if (!status.is_ok()) return status;
  }
  return ports;
}

std::vector<std::string> reading_groups(const config::Settings& settings) {
  std::vector<std::string> groups = {worker::kWorkerGroup};
  if (settings.archive.enabled) groups.emplace_back(worker::kArchiverGroup);
  return groups;
}

}  // namespace ca4::cli
